package lethe

// For the tests.
var Fits = fits

const BuiltFor = builtFor
