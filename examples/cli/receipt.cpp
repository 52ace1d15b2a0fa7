#include <array>
#include <memory>
#include <sstream>

#include "commands.h"
#include "figures.h"
#include "terminal.h"

namespace cli {
namespace {

std::string receipts_of(const Options& o, const std::string& file) {
  if (!file.empty()) return read_text(file);
  Buffer lines;
  check(lethe_journal_receipts(require_state(o).c_str(), out(lines)));
  return text_of(lines);
}

std::vector<Json> parse_lines(const std::string& lines) {
  std::vector<Json> receipts;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("receipt")) {
      throw Failure(LETHE_E_CORRUPT, "line " + std::to_string(receipts.size() + 1) +
                                         " is no receipt; lethe receipt verify says more");
    }
    receipts.push_back(json.at("receipt"));
  }
  return receipts;
}

int run_show(const Options& o, const std::string& request_id, const std::string& file) {
  const std::vector<Json> receipts = parse_lines(receipts_of(o, file));
  if (request_id.empty()) {
    if (o.json) {
      std::printf("%s\n", Json(receipts).dump(2).c_str());
      return kDone;
    }
    FigureNames names;  // all receipts are of one model
    for (const Json& receipt : receipts) {
      const Json figures = receipt.value("figures", Json::object());
      if (!figures.empty()) names = figures_in(figures);
    }
    std::vector<std::vector<std::string>> rows = {{"receipt", "request", "kind", "outcome", "mode",
                                                   names.shown + "_f", names.shown + "_r",
                                                   "ended (UTC)"}};
    for (const Json& receipt : receipts) {
      const Json figures = receipt.value("figures", Json::object());
      rows.push_back({shown(receipt, "number"), shown(receipt, "request_id"),
                      shown(receipt, "kind"), shown(receipt, "outcome"), shown(receipt, "mode"),
                      percent(figures.value(names.key + "_f", Json())),
                      percent(figures.value(names.key + "_r", Json())), shown(receipt, "ended")});
    }
    print_table(rows);
    return kDone;
  }
  for (auto receipt = receipts.rbegin(); receipt != receipts.rend(); ++receipt) {
    if (receipt->value("request_id", "") != request_id) continue;
    std::printf("%s\n", receipt->dump(2).c_str());
    return kDone;
  }
  throw Failure(LETHE_E_NOT_FOUND, "there is no receipt of \"" + request_id +
                                       "\"; a request has one when its task has ended");
}

/// 32 bytes of 64 hexadecimal digits, given themselves or in a file.
std::array<uint8_t, 32> parse_key(const std::string& given) {
  std::string digits = given.size() == 64 ? given : read_text(given);
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == ' ')) digits.pop_back();
  std::array<uint8_t, 32> key{};
  if (digits.size() != 64 ||
      digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    throw Failure(LETHE_E_INVALID_ARGUMENT, "a public key is 64 hexadecimal digits");
  }
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<uint8_t>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  }
  return key;
}

int run_verify(const Options& o, const std::string& key, const std::string& file) {
  const std::string lines = receipts_of(o, file);
  std::array<uint8_t, 32> expected{};
  if (!key.empty()) expected = parse_key(key);
  Buffer findings;
  const lethe_status status =
      lethe_receipts_verify(reinterpret_cast<const uint8_t*>(lines.data()), lines.size(),
                            key.empty() ? nullptr : expected.data(), out(findings));
  if (!findings) check(status);
  const Json found = json_of(findings);
  if (o.json) {
    std::printf("%s\n", found.dump(2).c_str());
  } else if (status == LETHE_OK) {
    std::printf("%s: every signature and link is good%s\n",
                counted(found.at("receipts").get<int64_t>(), "receipt").c_str(),
                key.empty() ? " (no --key given: whose signatures they are was not checked)" : "");
  } else {
    const Json& broken = found.at("first_break");
    std::printf("the chain breaks at receipt %s%s%s: %s\n", shown(broken, "line").c_str(),
                broken.at("request_id") == "" ? "" : ", ",
                broken.at("request_id").get<std::string>().c_str(),
                shown(broken, "reason").c_str());
  }
  return status == LETHE_OK ? kDone : kRefused;
}

}  // namespace

void add_receipt(CLI::App& app, const Options& options, Action& action) {
  auto* receipt = app.add_subcommand("receipt", "Signed records of what was done");
  receipt->require_subcommand(1);
  receipt->footer(
      "Examples:\n"
      "  lethe receipt show --state /var/lib/lethe\n"
      "  lethe receipt verify --file receipts.jsonl --key 1f0c...");
  const auto request = std::make_shared<std::string>();
  const auto file = std::make_shared<std::string>();
  const auto key = std::make_shared<std::string>();
  auto* show = receipt->add_subcommand("show", "All receipts, or one whole");
  show->add_option("request", *request, "Its request id");
  show->add_option("--file", *file, "Receipts, one a line, instead of those in --state");
  show->callback([&options, &action, request, file] {
    action = [&options, request, file] { return run_show(options, *request, *file); };
  });
  auto* verify = receipt->add_subcommand("verify", "Check signatures and links");
  verify->add_option("--file", *file, "Receipts, one a line, instead of those in --state");
  verify->add_option("--key", *key, "The public key that all must be signed with")
      ->type_name("HEX|FILE");
  verify->callback([&options, &action, key, file] {
    action = [&options, key, file] { return run_verify(options, *key, *file); };
  });
}

}  // namespace cli
