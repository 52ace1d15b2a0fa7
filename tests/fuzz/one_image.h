// A folder of its own with one image, for readers of annotations.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace lethe::testing {

class OneImage {
 public:
  OneImage() {
    std::string name = (std::filesystem::temp_directory_path() / "lethe-fuzz-XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    path_ = name;
    write("a.pgm", "P5 8 4 255\n" + std::string(32, 'x'));
  }
  ~OneImage() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  OneImage(const OneImage&) = delete;
  OneImage& operator=(const OneImage&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ + "/" + name, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }

 private:
  std::string path_;
};

}  // namespace lethe::testing
