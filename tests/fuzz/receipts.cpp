#include "engine/receipt.h"

#include "fuzz/fuzz.h"

FUZZ_TARGET(receipts) { lethe::verify_receipts(bytes, std::nullopt); }
