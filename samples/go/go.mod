// The samples of samples/c in Go, with the same names and the same output.
module samples

go 1.19

require deepseam v0.0.0

replace deepseam => ../../bindings/go/deepseam
