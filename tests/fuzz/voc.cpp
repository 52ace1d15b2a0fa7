// A Pascal VOC annotation of the image "a.pgm", 8 x 4.
#include "data/detection_sources.h"
#include "fuzz/fuzz.h"
#include "fuzz/one_image.h"

FUZZ_TARGET(voc) {
  using namespace lethe;
  static const testing::OneImage folder;
  folder.write("annotation.xml", bytes);
  const DetectionDataset data = read_voc(folder.path(), folder.path());
  data.info();
  for (int64_t i = 0; i < data.size(); ++i) data.objects(i);
}
