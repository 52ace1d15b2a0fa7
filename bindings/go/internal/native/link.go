// Package native is the generated floor: every function of lethe.h under its name without the
// prefix. It checks nothing; package lethe does.
package native

// The C library's pkg-config file says where its header and library are.

/*
#cgo pkg-config: lethe
#cgo CXXFLAGS: -std=c++17 -O2 -w -fno-strict-aliasing
*/
import "C"
