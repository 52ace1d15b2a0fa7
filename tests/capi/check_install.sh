#!/bin/sh
# An installed Lethe serves a program built with pkg-config alone. Usage: check_install.sh BUILD SOURCE
set -eu
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
meson install -C "$1" --no-rebuild --quiet --destdir "$prefix/stage" >/dev/null
library=$(find "$prefix/stage" -name 'liblethe.so.1.*')
folder=$(dirname "$library")
test -e "$folder/liblethe.so" && test -e "$folder/liblethe.so.1"
test "$(find "$prefix/stage" -name '*.h' | wc -l)" = 2  # lethe.h, lethe_api.h

cat > "$prefix/program.c" <<'END'
#include <lethe/lethe.h>
#include <stdio.h>
int main(void) {
  lethe_runtime* runtime = NULL;
  lethe_model* model = NULL;
  const char* spec = "{\"arch\":\"vit\",\"image_size\":8,\"patch_size\":4,\"dim\":8,\"depth\":1,"
                     "\"heads\":1,\"head_dim\":8,\"mlp_dim\":8,\"classes\":2}";
  if (lethe_abi_version() >> 16 != LETHE_ABI_VERSION >> 16) return 2;
  if (lethe_runtime_create(NULL, &runtime) || lethe_model_create(runtime, spec, NULL, &model)) {
    fprintf(stderr, "%s\n", lethe_last_error());
    return 1;
  }
  printf("%s %d\n", lethe_version_string(), (int)lethe_model_tensor_count(model));
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  return 0;
}
END
export PKG_CONFIG_PATH="$folder/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$prefix/stage"
# No path to LibTorch is given: the library finds it itself.
"${CC:-cc}" -std=c99 -Wall -Werror "$prefix/program.c" -o "$prefix/program" \
  $(pkg-config --cflags --libs lethe) -Wl,-rpath,"$folder"
env -u LD_LIBRARY_PATH "$prefix/program"
