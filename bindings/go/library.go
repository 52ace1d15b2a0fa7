package lethe

import (
	"fmt"
	"sync"

	"lethe/internal/native"
)

var readiness struct {
	once sync.Once
	err  error
}

// ready is nil when the loaded library fits this package; every first use asks it.
func ready() error {
	readiness.once.Do(func() { readiness.err = fits(native.Abi_version()) })
	return readiness.err
}

// fits compares the ABI of a library with the one this package was built for.
func fits(found uint32) error {
	if found>>16 == builtFor>>16 && found >= builtFor {
		return nil
	}
	return &Error{StatusVersion, fmt.Sprintf(
		"the loaded liblethe has ABI %d.%d, but this program was built for %d.%d: install a liblethe "+
			"of ABI %d.%d or a newer %d.x, or build the program again with the installed one",
		found>>16, found&0xffff, builtFor>>16, builtFor&0xffff, builtFor>>16, builtFor&0xffff,
		builtFor>>16)}
}

// Version returns the semantic version of the loaded library, for example "0.5.0".
func Version() string { return native.Version_string() }

// ABIVersion returns the ABI version of the loaded library. A library of another major version, or
// of an older minor one than this package was built for, is refused at the first use with
// [ErrVersion].
func ABIVersion() (major, minor int) {
	version := native.Abi_version()
	return int(version >> 16), int(version & 0xffff)
}

// BuildInfoJSON tells about the library's build: version, abi, compiler, libtorch, zstd, sodium,
// sqlite, cpu, threads, cuda (whether the CUDA part could be loaded, and why not).
func BuildInfoJSON() (string, error) { return libraryText(native.Build_info_json) }

// ArchNames returns the names of the built-in architectures: "vit", "face_vit", "face_vits",
// "deformable_detr".
func ArchNames() []string {
	names := make([]string, native.Arch_count())
	for i := range names {
		names[i] = native.Arch_name(int32(i))
	}
	return names
}

// ArchDefaultSpec returns the JSON spec of an architecture with every field at its default, as a
// starting point and as documentation. [ErrNotFound]: an unknown name.
func ArchDefaultSpec(arch string) (string, error) {
	name, err := text("arch", arch)
	if err != nil {
		return "", err
	}
	return libraryText(func(out *uintptr) native.Status { return native.Arch_default_spec(name, out) })
}

// MethodInfoJSON tells every method (name, number, meaning) and setting (type, range, default,
// meaning), and the defaults by method and head.
func MethodInfoJSON() (string, error) { return libraryText(native.Method_info_json) }
