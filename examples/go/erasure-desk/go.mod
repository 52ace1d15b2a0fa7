module erasure-desk

go 1.19

require lethe v0.0.0

replace lethe => ../../../build/bindings/go/go
