// Section 10 of lethe.h: receipts and journals.
#include <cstring>

#include "engine/archive.h"
#include "guard.h"
#include "handles.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

int32_t lethe_engine_receipt_count(const lethe_engine* engine) {
  return query(0, [&] {
    return usable(engine) ? static_cast<int32_t>(engine->engine->journal().receipt_count()) : 0;
  });
}

lethe_status lethe_engine_receipt(const lethe_engine* engine, const char* request_id,
                                  lethe_buffer** out_line) {
  return guard([&] {
    clear_required(out_line, "out_line");
    const std::string id = text(request_id, "request_id");
    const auto line = checked(engine, "engine").engine->journal().receipt(id);
    require(line.has_value(), Code::kNotFound, "there is no receipt of the request ", in_quotes(id),
            "; a task has one when it has ended");
    *out_line = make_buffer(*line);
  });
}

lethe_status lethe_engine_receipts(const lethe_engine* engine, lethe_buffer** out_lines) {
  return guard([&] {
    clear_required(out_lines, "out_lines");
    std::string lines;
    for (const std::string& line : checked(engine, "engine").engine->journal().receipts()) {
      lines += line + '\n';
    }
    *out_lines = make_buffer(lines);
  });
}

lethe_status lethe_engine_public_key(const lethe_engine* engine, uint8_t* out_key) {
  return guard([&] {
    require(out_key, Code::kInvalidArgument, "out_key is NULL; give room for 32 bytes");
    std::memset(out_key, 0, sizeof(PublicKey));
    const PublicKey& key = checked(engine, "engine").engine->public_key();
    std::memcpy(out_key, key.data(), key.size());
  });
}

lethe_status lethe_receipts_verify(const uint8_t* data, size_t size, const uint8_t* public_key,
                                   lethe_buffer** out_findings) {
  return guard([&] {
    clear(out_findings);
    require(data || size == 0, Code::kInvalidArgument, "data is NULL");
    std::optional<PublicKey> key;
    if (public_key) std::copy_n(public_key, sizeof(PublicKey), key.emplace().data());
    const ChainFindings found = verify_receipts({reinterpret_cast<const char*>(data), size}, key);
    Json broken;
    if (const auto& first = found.first_break) {
      broken = {
          {"line", first->line}, {"request_id", first->request_id}, {"reason", first->reason}};
    }
    if (out_findings) {
      *out_findings = json_buffer({{"ok", !found.first_break},
                                   {"receipts", found.good},
                                   {"first_break", std::move(broken)}});
    }
    if (const auto& first = found.first_break) {
      fail(Code::kCorrupt, "receipt ", first->line, " is broken: ", first->reason);
    }
  });
}

lethe_status lethe_journal_info_json(const char* folder, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(describe_folder(text(folder, "folder")));
  });
}

lethe_status lethe_journal_receipts(const char* folder, lethe_buffer** out_lines) {
  return guard([&] {
    clear_required(out_lines, "out_lines");
    *out_lines = make_buffer(receipts_of_folder(text(folder, "folder")));
  });
}
