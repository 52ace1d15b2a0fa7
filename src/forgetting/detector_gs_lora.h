// GS-LoRA and GS-LoRA++ on object detectors (algorithm.md 8).
#pragma once

#include "forgetting/method.h"

namespace lethe {

/// Both methods; they differ by the prototype terms alone. As on classifiers (gs_lora.cpp), but: a
/// prototype is a row of the pre-trained classifier, only the label's term of the forget set is
/// reversed (detection_losses.h), a data_ratio or few_shot draws images, and a share of them are
/// forget images that show other objects too, whose annotations are dropped.
const DetectorMethod& detector_gs_lora();

}  // namespace lethe
