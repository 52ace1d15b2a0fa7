#include <algorithm>
#include <memory>

#include "commands.h"
#include "terminal.h"

namespace cli {
namespace {

struct Asked {
  std::string file, to, peft, request_id, names = "original";
  std::vector<int64_t> classes;
  int level = 3;
  bool half = false;
};

lethe_export_options export_options(const Asked& asked) {
  lethe_export_options options;
  check(lethe_export_options_init(&options, sizeof options));
  options.level = asked.level;
  options.dtype = asked.half ? LETHE_F16 : LETHE_F32;
  options.naming = asked.names == "own"            ? LETHE_NAMES_OWN
                   : asked.names == "timm"         ? LETHE_NAMES_TIMM
                   : asked.names == "hugging-face" ? LETHE_NAMES_HUGGING_FACE
                                                   : LETHE_NAMES_ORIGINAL;
  return options;
}

Adapter load(lethe_runtime* runtime, const std::string& path) {
  Adapter adapter;
  check(lethe_adapter_load(runtime, path.c_str(), nullptr, out(adapter)));
  return adapter;
}

int run_info(const Options& o, const Asked& asked) {
  const Runtime runtime = make_runtime();
  const Adapter adapter = load(runtime.get(), asked.file);
  Buffer json;
  check(lethe_adapter_info_json(adapter.get(), out(json)));
  const Json manifest = json_of(json);
  if (o.json) {
    std::printf("%s\n", manifest.dump(2).c_str());
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"field", "value"}};
  for (const char* key : {"request_id", "adapter_id", "classes_forgotten", "method", "rank",
                          "scaling", "seed", "created_utc", "lethe_version"}) {
    if (manifest.contains(key)) rows.push_back({key, shown(manifest, key)});
  }
  rows.push_back({"base", shown(manifest.at("base"), "fingerprint")});
  rows.push_back({"parents", std::to_string(manifest.at("parents").size())});
  if (const auto groups = manifest.find("groups"); groups != manifest.end()) {
    rows.push_back({"groups kept", std::to_string(groups->at("selected").size()) + " of " +
                                       std::to_string(groups->at("all").size())});
  } else {  // of a method that changes the weights themselves
    const Json& tensors = manifest.at("tensors");
    const auto count = std::count_if(tensors.begin(), tensors.end(), [](const Json& tensor) {
      return tensor.at("role") == "delta";
    });
    rows.push_back({"weights changed", std::to_string(count)});
  }
  for (const auto& [name, value] : manifest.at("metrics").at("after").items()) {
    if (name.find("_class.") == std::string::npos) rows.push_back({name, percent(value)});
  }
  print_table(rows);
  return kDone;
}

int run_verify(const Options& o, const Asked& asked) {
  Buffer findings;
  const lethe_status status = lethe_adapter_verify(asked.file.c_str(), nullptr, out(findings));
  if (!findings) check(status);
  const Json found = json_of(findings);
  if (o.json) {
    std::printf("%s\n", found.dump(2).c_str());
  } else if (status == LETHE_OK) {
    std::printf("%s: every check passed\n", asked.file.c_str());
  } else {
    std::printf("%s: %s: %s\n", asked.file.c_str(), shown(found.at("error"), "code").c_str(),
                shown(found.at("error"), "message").c_str());
  }
  return status == LETHE_OK ? kDone : kRefused;
}

void told(const Options& o, const std::string& path) {
  if (o.json) {
    std::printf("%s\n", Json{{"written", path}}.dump(2).c_str());
  } else {
    std::printf("wrote %s\n", path.c_str());
  }
}

/// From a file, or by request id from --state, which needs the model.
int run_export(const Options& o, const Asked& asked) {
  const Runtime runtime = make_runtime();
  Adapter adapter;
  if (o.state.empty()) {
    adapter = load(runtime.get(), asked.file);
  } else {
    const Model model = make_model(o, runtime.get());
    const Engine engine = make_engine(o, model.get(), /*paused=*/true);
    check(lethe_model_adapter_find(model.get(), asked.file.c_str(), out(adapter)));
  }
  if (asked.to.empty() == asked.peft.empty()) {
    throw Failure(LETHE_E_INVALID_ARGUMENT, "name where to write: either --to or --peft");
  }
  const lethe_export_options options = export_options(asked);
  if (asked.peft.empty()) {
    check(lethe_adapter_export(adapter.get(), asked.to.c_str(), &options));
  } else {
    check(lethe_adapter_export_peft(adapter.get(), asked.peft.c_str(), &options));
  }
  told(o, asked.peft.empty() ? asked.to : asked.peft);
  return kDone;
}

int run_import(const Options& o, const Asked& asked) {
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  Adapter adapter;
  check(lethe_adapter_import_peft(model.get(), asked.file.c_str(), asked.request_id.c_str(),
                                  asked.classes.data(), asked.classes.size(), nullptr,
                                  out(adapter)));
  const lethe_export_options options = export_options(asked);
  check(lethe_adapter_export(adapter.get(), asked.to.c_str(), &options));
  told(o, asked.to);
  return kDone;
}

int run_merge(const Options& o, const Asked& asked) {
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  Engine engine;
  if (!o.state.empty()) engine = make_engine(o, model.get(), /*paused=*/true);
  const lethe_export_options options = export_options(asked);
  check(lethe_model_export_merged(model.get(), asked.to.c_str(), &options));
  told(o, asked.to);
  return kDone;
}

}  // namespace

void add_adapter(CLI::App& app, const Options& options, Action& action) {
  auto* adapter = app.add_subcommand("adapter", "Adapter checkpoints: look, check, convert, merge");
  adapter->require_subcommand(1);
  adapter->footer(
      "Examples:\n"
      "  lethe adapter info request-1.lethe\n"
      "  lethe adapter export request-1.lethe --peft request-1-peft --names timm\n"
      "  lethe adapter merge --spec vit.json --weights vit.safetensors \\\n"
      "                      --adapter request-1.lethe --to forgetful.safetensors");
  const auto asked = std::make_shared<Asked>();
  const auto chosen = [&options, &action, asked](int (*run)(const Options&, const Asked&)) {
    return [&options, &action, asked, run] {
      action = [&options, asked, run] { return run(options, *asked); };
    };
  };
  const auto add_names = [&](CLI::App* command) {
    command
        ->add_option("--names", asked->names, "Names of layers: original, own, timm, hugging-face")
        ->check(CLI::IsMember({"original", "own", "timm", "hugging-face"}));
  };

  auto* info = adapter->add_subcommand("info", "What a checkpoint says of itself");
  info->add_option("file", asked->file)->required();
  info->callback(chosen(run_info));
  auto* verify = adapter->add_subcommand("verify", "Every check of a checkpoint");
  verify->add_option("file", asked->file)->required();
  verify->callback(chosen(run_verify));
  auto* to_file = adapter->add_subcommand("export", "Write a checkpoint anew, or in PEFT's format");
  to_file->add_option("adapter", asked->file, "A file; with --state, a request id")->required();
  to_file->add_option("--to", asked->to)->type_name("FILE.lethe");
  to_file->add_option("--peft", asked->peft)->type_name("DIR");
  to_file->add_option("--level", asked->level, "zstd level, 1 to 19");
  add_names(to_file);
  to_file->callback(chosen(run_export));
  auto* import =
      adapter->add_subcommand("import", "Make a checkpoint of a folder in PEFT's format");
  import->add_option("folder", asked->file)->required();
  import->add_option("--request-id", asked->request_id, "The name it gets")->required();
  import->add_option("--forget", asked->classes, "Classes that it makes the model forget")
      ->delimiter(',')
      ->required();
  import->add_option("--to", asked->to)->type_name("FILE.lethe")->required();
  import->callback(chosen(run_import));
  auto* merge = adapter->add_subcommand("merge", "Write base plus adapters as plain weights");
  merge->add_option("--to", asked->to)->type_name("FILE.safetensors")->required();
  merge->add_flag("--half", asked->half, "As float16");
  add_names(merge);
  merge->callback(chosen(run_merge));
}

}  // namespace cli
