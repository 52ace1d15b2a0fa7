// Digests, checksums, whole files.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <thread>

#include "storage/bytes.h"
#include "storage/digest.h"
#include "storage/file.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

constexpr int64_t kNoLimit = 1 << 30;

// --- digests ---

void sha256_vectors(void**) {  // FIPS 180-2, appendix B
  const auto check = [](const std::string& text, const char* expected) {
    assert_string_equal(hex(sha256(text)).c_str(), expected);
  };
  check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  check(std::string(1'000'000, 'a'),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

void sha256_in_pieces(void**) {
  const std::string text(1000, 'x');
  for (const size_t cut : {0, 1, 63, 64, 65, 999, 1000}) {
    Sha256 sha;
    sha.update(text.substr(0, cut)).update(text.substr(cut));
    assert_true(sha.finish() == sha256(text));
  }
}

void sha256_of_tensors_is_of_their_rows(void**) {
  const at::Tensor numbers = at::arange(6, at::kFloat).reshape({2, 3});
  const float rows[] = {0, 1, 2, 3, 4, 5};
  const float columns[] = {0, 3, 1, 4, 2, 5};
  assert_true(sha256(numbers) == sha256(rows, sizeof rows));
  assert_true(sha256(numbers.t()) == sha256(columns, sizeof columns));
  assert_true(sha256(at::empty({0})) == sha256(""));
  assert_true(sha256(numbers.to(at::kHalf)) != sha256(numbers));
  expect_error(Code::kInvalidArgument, "CPU", [] { sha256(at::Tensor()); });
  expect_error(Code::kInvalidArgument, "dense", [] { sha256(at::eye(2).to_sparse()); });
}

void digests_as_text(void**) {
  const Digest digest = sha256("abc");
  assert_true(digest_from_hex(hex(digest), "id") == digest);
  const std::string good = hex(digest);
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", "G" + good.substr(1), "B" + good.substr(1)}) {
    expect_error(Code::kCorrupt, "the id must be 64 lower-case hexadecimal digits",
                 [&] { digest_from_hex(bad, "the id"); });
  }
}

void crc32c_vectors(void**) {  // RFC 3720, B.4, and the check value of the CRC catalogues
  std::string counting(32, '\0');
  std::iota(counting.begin(), counting.end(), '\0');
  const std::string down(counting.rbegin(), counting.rend());
  assert_int_equal(crc32c("123456789", 9), 0xe3069283);
  assert_int_equal(crc32c(std::string(32, '\0').data(), 32), 0x8a9136aa);
  assert_int_equal(crc32c(std::string(32, '\xff').data(), 32), 0x62a8ab43);
  assert_int_equal(crc32c(counting.data(), 32), 0x46dd794e);
  assert_int_equal(crc32c(down.data(), 32), 0x113fdb5c);
  assert_int_equal(crc32c(nullptr, 0), 0);
  assert_int_equal(crc32c("6789", 4, crc32c("12345", 5)), 0xe3069283);
}

// --- bytes ---

void byte_reader_stops_at_the_end(void**) {
  std::string bytes;
  append_number<uint16_t>(bytes, 0x1234);
  append_number<uint32_t>(bytes, 7);
  assert_int_equal(static_cast<uint8_t>(bytes[0]), 0x34);
  ByteReader reader(bytes, "the file");
  assert_int_equal(reader.number<uint16_t>(), 0x1234);
  expect_error(Code::kCorrupt, "the file is truncated: 8 bytes are needed where 4 are left",
               [&] { reader.number<uint64_t>(); });
  expect_error(Code::kCorrupt, "truncated", [&] { reader.take(UINT64_MAX); });
  assert_int_equal(reader.number<uint32_t>(), 7);
  assert_true(reader.take(0).empty() && reader.rest().empty());
}

// --- reading files ---

void read_whole_files(void**) {
  const TemporaryFolder folder;
  const std::string content("a\0b\n", 4);
  std::ofstream(folder / "f", std::ios::binary) << content;
  std::ofstream(folder / "empty");
  assert_true(read_file(folder / "f", 4) == content);
  assert_true(read_file(folder / "empty", 0).empty());
}

void read_refusals(void**) {
  const TemporaryFolder folder;
  std::ofstream(folder / "five") << "12345";
  expect_error(Code::kLimitExceeded, "\"five\" is 5 bytes, the limit is 4",
               [&] { read_file(folder / "five", 4); });
  expect_error(Code::kNotFound, "\"none\" does not exist", [&] { read_file(folder / "none", 9); });
  expect_error(Code::kNotFound, "\"x\" does not exist", [&] { read_file(folder / "five/x", 9); });
  expect_error(Code::kIo, "not a file", [&] { read_file(folder.path(), kNoLimit); });
  assert_int_equal(mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error(Code::kIo, "not a file", [&] { read_file(folder / "pipe", kNoLimit); });
  expect_error(Code::kIo, "not a file", [] { read_file("/dev/zero", kNoLimit); });
}

void messages_hide_folders(void**) {
  const TemporaryFolder folder;
  for (const auto& body : std::vector<std::function<void()>>{
           [&] { read_file(folder / "secret-folder/none", 9); },
           [&] { write_file_atomically(folder / "secret-folder/none", {"x"}); }}) {
    try {
      body();
      fail_msg("nothing was thrown");
    } catch (const Error& error) {
      assert_null(strstr(error.what(), "secret-folder"));
      assert_null(strchr(error.what(), '\n'));
    }
  }
}

void base_names(void**) {
  assert_string_equal(base_name("/a/b/c.x").c_str(), "c.x");
  assert_string_equal(base_name("c.x").c_str(), "c.x");
  assert_string_equal(base_name("/a/").c_str(), "");
}

// --- writing files ---

size_t files_in(const std::string& folder) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    count += !entry.path().empty();
  return count;
}

void an_absolute_path_leads_where_the_path_leads(void**) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "far/deep");
  std::filesystem::create_directory_symlink(folder / "far/deep", folder / "link");
  write_file_atomically(folder / "far/x", {"far"});
  write_file_atomically(folder / "x", {"near"});
  assert_string_equal(read_file(absolute_path(folder / "link/../x"), kNoLimit).c_str(), "far");
  assert_int_equal(absolute_path("x").front(), '/');
}

void write_and_replace(void**) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  write_file_atomically(path, {"one ", "", "two"});
  assert_true(read_file(path, kNoLimit) == "one two");
  const std::string large(3 << 20, 'x');
  write_file_atomically(path, {large, "end"});
  assert_true(read_file(path, kNoLimit) == large + "end");
  write_file_atomically(path, {});
  assert_true(read_file(path, kNoLimit).empty());
  assert_int_equal(files_in(folder.path()), 1);
}

void write_in_the_current_folder(void**) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomically("plain", {"x"});
  std::filesystem::current_path(before);
  assert_true(read_file(folder / "plain", 1) == "x");
}

void write_keeps_a_reader_of_the_old_file(void**) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", {"old"});
  std::ifstream reader(folder / "f");
  write_file_atomically(folder / "f", {"newer"});
  std::string seen;
  reader >> seen;
  assert_string_equal(seen.c_str(), "old");
}

void write_respects_the_umask(void**) {
  const TemporaryFolder folder;
  const mode_t before = umask(027);
  write_file_atomically(folder / "f", {"x"});
  umask(before);
  struct stat info;
  assert_int_equal(stat((folder / "f").c_str(), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0640);
}

void write_into_missing_or_wrong_places(void**) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  std::filesystem::create_directory(folder / "sub");
  const auto refused = [](Code code, const char* part, const std::string& path) {
    expect_error(code, part, [&] { write_file_atomically(path, {"x"}); });
  };
  refused(Code::kIo, "cannot write \"f\": its folder does not exist", folder / "none/f");
  refused(Code::kIo, "its folder does not exist", folder / "file/f");
  refused(Code::kIo, "a folder has this name", folder / "sub");
  refused(Code::kInvalidArgument, "names no file", folder / "sub/");
  refused(Code::kInvalidArgument, "names no file", "");
  assert_int_equal(files_in(folder.path()), 2);
  assert_int_equal(files_in(folder / "sub"), 0);
}

/// The message of a failed write, with its code; empty when it succeeds.
std::string write_error(const std::string& path, const std::string& bytes) {
  try {
    write_file_atomically(path, {bytes});
    return "";
  } catch (const Error& error) {
    return str(static_cast<int>(error.code()), " ", error.what());
  }
}

void write_without_permission(void**) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", {"old"});
  assert_int_equal(chmod(folder.path().c_str(), 0555), 0);
  std::string message;
  // Root may write anywhere, so another user's identity is taken, in a thread of its own.
  std::thread([&] {
    if (geteuid() == 0) setfsuid(65'534);
    message = write_error(folder / "f", "new");
  }).join();
  chmod(folder.path().c_str(), 0755);
  assert_string_equal(message.c_str(),
                      "-3 cannot write \"f\": permission denied; choose a folder that this process "
                      "may write to");
  assert_true(read_file(folder / "f", 3) == "old");
  assert_int_equal(files_in(folder.path()), 1);
}

void write_beyond_the_size_limit_of_the_process(void**) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", {"old"});
  rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = write_error(folder / "f", std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_string_equal(message.c_str(),
                      "-3 cannot write \"f\": it would be larger than this process or file system "
                      "allows");
  assert_true(read_file(folder / "f", 3) == "old");
  assert_int_equal(files_in(folder.path()), 1);
}

/// What happens on a 64 KiB disk, seen by a thread with mounts of its own.
struct SmallDisk {
  bool mounted = false;
  std::string full, read_only, content;
  size_t files = 0;

  void run(const std::string& folder) {
    mounted = unshare(CLONE_NEWNS) == 0 &&
              mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              mount("none", folder.c_str(), "tmpfs", 0, "size=64k") == 0;
    if (!mounted) return;
    write_file_atomically(folder + "/f", {"old"});
    full = write_error(folder + "/f", std::string(1 << 20, 'x'));
    if (mount("none", folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0) {
      read_only = write_error(folder + "/f", "new");
    }
    content = read_file(folder + "/f", 3);
    files = files_in(folder);
  }
};

void write_to_a_full_or_read_only_disk(void**) {
  const TemporaryFolder folder;
  SmallDisk disk;
  std::thread([&] { disk.run(folder.path()); }).join();
  if (!disk.mounted) {
    print_message("a disk can be mounted by root only: not tested\n");
    skip();
  }
  assert_string_equal(
      disk.full.c_str(),
      "-3 cannot write \"f\": the disk is full; free some space or choose another folder");
  assert_string_equal(disk.read_only.c_str(),
                      "-3 cannot write \"f\": the file system is read-only; choose another folder");
  assert_string_equal(disk.content.c_str(), "old");
  assert_int_equal(disk.files, 1);
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(sha256_vectors),
      cmocka_unit_test(sha256_in_pieces),
      cmocka_unit_test(sha256_of_tensors_is_of_their_rows),
      cmocka_unit_test(digests_as_text),
      cmocka_unit_test(crc32c_vectors),
      cmocka_unit_test(byte_reader_stops_at_the_end),
      cmocka_unit_test(read_whole_files),
      cmocka_unit_test(read_refusals),
      cmocka_unit_test(messages_hide_folders),
      cmocka_unit_test(base_names),
      cmocka_unit_test(an_absolute_path_leads_where_the_path_leads),
      cmocka_unit_test(write_and_replace),
      cmocka_unit_test(write_in_the_current_folder),
      cmocka_unit_test(write_keeps_a_reader_of_the_old_file),
      cmocka_unit_test(write_respects_the_umask),
      cmocka_unit_test(write_into_missing_or_wrong_places),
      cmocka_unit_test(write_without_permission),
      cmocka_unit_test(write_beyond_the_size_limit_of_the_process),
      cmocka_unit_test(write_to_a_full_or_read_only_disk),
  };
  return cmocka_run_group_tests_name("storage", tests, nullptr, nullptr);
}
