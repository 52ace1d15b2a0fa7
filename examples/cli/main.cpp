// The operator's tool: what lethe.h offers, from a shell.
#include "commands.h"
#include "terminal.h"

namespace {

int fail(const cli::Options& options, lethe_status status, const std::string& message) {
  if (options.json) {
    const cli::Json error = {
        {"error", {{"code", lethe_status_name(status)}, {"message", message}}}};
    std::printf("%s\n", error.dump(2, ' ', false, cli::Json::error_handler_t::replace).c_str());
  } else {
    std::fprintf(stderr, "lethe: %s (%s)\n", message.c_str(), lethe_status_name(status));
  }
  return status == LETHE_E_BUSY ? cli::kBusy : cli::kFailed;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app(
      "Lethe makes pre-trained vision models forget chosen classes, request after request.",
      "lethe");
  cli::Options options;
  cli::Action action;
  app.set_version_flag("--version", std::string("lethe ") + lethe_version_string());
  app.require_subcommand(1);
  app.fallthrough();
  cli::add_options(app, options);
  app.set_config("--project", "lethe.toml",
                 "A file with these options, such as  spec = \"vit.json\"")
      ->group("Model");
  cli::add_forget(app, options, action);
  cli::add_pretrain(app, options, action);
  cli::add_evaluate(app, options, action);
  cli::add_predict(app, options, action);
  cli::add_queue(app, options, action);
  cli::add_adapter(app, options, action);
  cli::add_receipt(app, options, action);
  app.footer(
      "Options may stand before or after the command. Exit codes: 0 done; 1 failed; 2 wrong "
      "usage;\n"
      "3 rejected by the quality gate, or a verification failed; 4 cancelled or interrupted;\n"
      "5 another process has the folder.\n"
      "Example:\n"
      "  lethe forget --spec vit.json --weights vit.safetensors --images photos --forget 3,7");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? cli::kDone : cli::kUsage;
  }
  try {
    return action();
  } catch (const cli::Failure& failure) {
    return fail(options, failure.status, failure.what());
  } catch (const std::exception& error) {
    return fail(options, LETHE_E_INTERNAL, error.what());
  }
}
