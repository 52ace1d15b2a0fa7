// How the page looks: one column, system type, two themes, no script. Marks are told
// apart by colour and by shape; every colour has a contrast of 3 : 1 or more.
#include "render.h"

namespace experiments {

std::string html_style() {
  return R"(<style>
:root{color-scheme:light dark;--page:#fcfcfb;--ink:#1c1f23;--soft:#5d656e;--rule:#e2e3e1;--over:#b3380b;
--c0:#0b5f8a;--c1:#b3470b;--c2:#0a7a53;--c3:#7a4fa3;--c4:#8a6a00;--c5:#a8336f;--c6:#4a545e}
@media(prefers-color-scheme:dark){:root{--page:#15181b;--ink:#e6e8ea;--soft:#9aa3ac;--rule:#2b3035;
--over:#f0894e;--c0:#62b5e5;--c1:#f0894e;--c2:#4fc79a;--c3:#bd9be8;--c4:#e0bd4a;--c5:#ee8fbe;--c6:#a9b4bf}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:74rem;margin:0 auto;padding:3rem 1.5rem 5rem}
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.02em;font-weight:650;margin:0 0 1rem;text-wrap:balance}
h2{font-size:1.25rem;letter-spacing:-.01em;font-weight:650;margin:3rem 0 .5rem}
p,ul{max-width:52rem}
ul{padding-left:1.1rem;font-size:.9375rem;color:var(--soft);overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
caption,figcaption{text-align:left;font-size:.875rem;color:var(--soft);padding:0 0 .5rem}
th,td{text-align:right;padding:.45rem .75rem;border-bottom:1px solid var(--rule);white-space:nowrap;
vertical-align:baseline}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{font-weight:500;color:var(--soft);font-size:.8125rem;vertical-align:bottom}
thead b{color:var(--ink)}
tbody th{font-weight:600}
.over{color:var(--over)}
figure{margin:0 0 1rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:11px;fill:var(--soft)}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .base{stroke:var(--soft);stroke-width:1.25;stroke-dasharray:5 4}
svg .name{fill:var(--ink)}
svg .cell{fill:none;stroke:var(--soft)}
svg .kept{fill:var(--c0)}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem 2rem}
.key{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;list-style:none;padding:0;max-width:none}
.key li{display:flex;align-items:center;gap:.4rem;color:var(--ink)}
.key svg{width:14px;height:14px}
)" + [] {
    std::string marks;
    for (int i = 0; i < 7; ++i) {
      const std::string n = std::to_string(i);
      marks += "svg .c" + n + "{stroke:var(--c" + n + ")}svg .m" + n + "{fill:var(--c" + n + ")}\n";
    }
    return marks;
  }() + R"(@media(max-width:40rem){main{padding:2rem 1rem 3rem}}
@media print{body{background:#fff}section{break-inside:avoid}}
</style>
)";
}

}  // namespace experiments
