// COCO annotations; the folder holds the image "a.pgm", 8 x 4.
#include "data/detection_sources.h"
#include "fuzz/fuzz.h"
#include "fuzz/one_image.h"

FUZZ_TARGET(coco) {
  using namespace lethe;
  static const testing::OneImage folder;
  const testing::FileInMemory annotations(bytes);
  const DetectionDataset data = read_coco(annotations.path(), folder.path());
  data.info();
  for (int64_t i = 0; i < data.size(); ++i) data.objects(i);
  read_coco(annotations.path(), folder.path(), CocoLabels::kId).info();
}
