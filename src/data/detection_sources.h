// Where detection data sets come from. One function a format; each reads all annotations and checks
// that every image is there, and leaves the images to be decoded when they are asked for.
//
// Boxes are treated as the data loaders of DETR treat them: cut at the border of the image, and
// left out and counted (DetectionDataset::left_out()) where they have no width or height. What no
// loader can mean is an error that names the value: a box that lies outside its image or has a
// negative size, a number that is not finite, a number of an image or category that nothing has or
// two have.
#pragma once

#include <string>
#include <vector>

#include "data/detection_dataset.h"

namespace lethe {

/// What the label of a category is.
enum class CocoLabels {
  kPlace,  ///< its place among the file's categories by ascending id: 0 to 79 of COCO
  kId,     ///< its id, 1 to 90 of COCO: how the public checkpoints number their 91 outputs
};

/// COCO instances (cocodataset.org, "Data format"): one JSON file with the lists "images" (id,
/// file_name, width, height), "annotations" (id, image_id, category_id, bbox [left, top, width,
/// height], optional area and iscrowd) and "categories" (id, name); other keys are not looked at.
/// File names are relative to `image_folder` and stay inside it. Images and categories are in the
/// order of their numbers; images without annotations are kept. With CocoLabels::kId the numbers
/// from 0 to the highest that the file leaves out are categories too, without objects: "unused 12".
///
/// Throws kNotFound (the file, an image), kIo, kLimitExceeded (more than 2 GiB), kCorrupt (not
/// JSON, a missing field, a value of the wrong type or out of range) or, with CocoLabels::kId,
/// kInvalidArgument (an id that is negative or above 9999).
DetectionDataset read_coco(const std::string& annotations_path, const std::string& image_folder,
                           CocoLabels labels = CocoLabels::kPlace);

/// Pascal VOC: one XML file an image in `annotations_folder`, in lexicographic order, which is also
/// the images' numbering from 0; other files and sub-folders are ignored. Each names its image in
/// `image_folder` (which may be the same folder) as <filename>. `class_names` gives the categories,
/// numbered 0, 1 ...; when it is empty they are all names found, in lexicographic order.
///
/// VOC counts pixels from 1 and both ends belong to the box (VOC development kit, "annotation
/// format"), so <xmin> a </xmin> <xmax> b </xmax> is left = a - 1, right = b, and b - a + 1 pixels
/// wide. <difficult> objects become crowds, which are neither taught nor counted, as VOC's
/// evaluation leaves them out; <truncated> ones are objects like any other. <part>s are not looked
/// at.
///
/// Throws kNotFound (a folder, no XML file, an image), kIo, kLimitExceeded (a file over 16 MiB,
/// deeper than 100 elements), kUnsupported (a document type: nothing here needs one, and entities
/// can expand without end), kCorrupt (not XML, a missing element, a number that is none or out of
/// range) or kInvalidArgument (a name that `class_names` lacks).
DetectionDataset read_voc(const std::string& annotations_folder, const std::string& image_folder,
                          const std::vector<std::string>& class_names = {});

}  // namespace lethe
