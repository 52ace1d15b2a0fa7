// Keeps the page as it is on the server. Without this file, reloading does the same.
'use strict';

const percent = (x) => (x === null ? '–' : x.toFixed(1) + ' %');
const decimal = (x) => (x === null ? '–' : x.toFixed(3));
const left = (x) => {
  if (x === null) return '';
  const s = Math.round(x), min = Math.floor(s / 60);
  if (s < 60) return `${s} s left`;
  return s < 3600 ? `${min} min ${s % 60} s left` : `${Math.floor(s / 3600)} h ${min % 60} min left`;
};

// A change of state changes much: the server writes the page anew.
let timer = null;
const refresh = () => {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const answer = await fetch('/');
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const live = document.getElementById('live');
    for (const open of live.querySelectorAll('details[open]')) {
      const same = fresh.getElementById(open.id);
      if (same) same.open = true;
    }
    live.replaceWith(fresh.getElementById('live'));
    for (const box of fresh.querySelectorAll('input[name=class]')) {
      const mine = document.querySelector(`input[name=class][value="${CSS.escape(box.value)}"]`);
      mine.disabled = box.disabled;
      if (box.disabled) mine.checked = false;
      mine.parentElement.querySelector('small').textContent =
        box.parentElement.querySelector('small').textContent;
    }
  }, 100);
};

const show = ({ number, progress: p }) => {
  const card = document.querySelector(`[data-number="${number}"]`);
  if (!card) return;
  const bar = card.querySelector('progress');
  bar.max = p.total_steps || 1;
  bar.value = p.step;
  const texts = {
    where: `step ${p.step} of ${p.total_steps}`, left: left(p.eta_seconds),
    acc_f: percent(p.acc_f), acc_r: percent(p.acc_r),
    groups: `${p.groups_live} of ${p.groups_total}`,
    loss: decimal(p.loss), loss_retain: decimal(p.loss_retain), loss_forget: decimal(p.loss_forget),
    loss_structure: decimal(p.loss_structure), loss_prototype: decimal(p.loss_prototype),
  };
  for (const [field, text] of Object.entries(texts))
    card.querySelector(`[data-field=${field}]`).textContent = text;
};

const events = new EventSource('/v1/events');
events.addEventListener('state', refresh);
events.addEventListener('progress', (event) => show(JSON.parse(event.data)));
