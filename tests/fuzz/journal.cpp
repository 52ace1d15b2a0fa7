// A journal's database file, as an engine finds it after whatever happened to the disk.
#include "engine/journal.h"

#include "fuzz/fuzz.h"
#include "storage/digest.h"
#include "storage/file.h"

FUZZ_TARGET(journal) {
  using namespace lethe;
  static const std::string path =
      "/dev/shm/lethe-fuzz-journal-" + std::to_string(::getpid()) + ".db";
  struct Removed {
    ~Removed() {
      for (const char* end : {"", "-wal", "-shm", "-journal"}) ::unlink((path + end).c_str());
    }
  } removed;
  {
    const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0 || ::write(fd, bytes.data(), bytes.size()) < 0) std::abort();
    ::close(fd);
  }
  Journal journal(path);
  journal.model();
  for (const TaskRecord& task : journal.tasks()) {
    try {
      parse_json(task.request, "request");
    } catch (const Error&) {
    }
  }
  journal.receipts();
  TaskRecord task;
  task.request_id = "fuzz";
  task.kind = "forget";
  task.request = "{}";
  journal.enter(journal.add(task), JobState::kRunning, 1);
}
