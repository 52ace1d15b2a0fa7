// COCO and Pascal VOC annotations, written by the tests.
#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "data/detection_sources.h"
#include "data/fixtures.h"
#include "data/reference.h"
#include "test.h"

namespace {

using namespace lethe;
using namespace lethe::testing;
using namespace std::string_literals;

using Values = std::vector<int64_t>;

std::string grey(int width, int height) {
  return "P5 " + std::to_string(width) + " " + std::to_string(height) + " 255\n" +
         std::string(static_cast<size_t>(width) * height, 'x');
}

void expect_box(const DetectionObject& object, BoxCorners box) {
  expect_close(object.box.left, box.left, 1e-12);
  expect_close(object.box.top, box.top, 1e-12);
  expect_close(object.box.right, box.right, 1e-12);
  expect_close(object.box.bottom, box.bottom, 1e-12);
}

/// A folder with the images a.pgm (8x4) and sub/b.pgm (6x6).
class Photos : public TemporaryFolder {
 public:
  Photos() {
    std::filesystem::create_directories(*this / "sub");
    write_text(*this / "a.pgm", grey(8, 4));
    write_text(*this / "sub/b.pgm", grey(6, 6));
  }
};

// ------------------------------------------------------------------------------------ COCO

class Coco : public Photos {
 public:
  Json json = Json::parse(R"({
    "info": {"year": 2017},
    "categories": [{"id": 18, "name": "dog", "supercategory": "animal"},
                   {"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    "images": [{"id": 900, "file_name": "a.pgm", "width": 8, "height": 4, "license": 3},
               {"id": 37, "file_name": "sub/b.pgm", "width": 6, "height": 6}],
    "annotations": [
      {"id": 5, "image_id": 900, "category_id": 18, "bbox": [1, 1.5, 3, 2], "area": 4.25,
       "iscrowd": 0, "segmentation": [[1, 1, 2, 2, 1, 2]]},
      {"id": 3, "image_id": 900, "category_id": 1, "bbox": [-2, -1, 20, 3.5], "iscrowd": 1},
      {"id": 4, "image_id": 900, "category_id": 1, "bbox": [2, 2, 0, 1], "area": 0},
      {"id": 6, "image_id": 900, "category_id": 1, "bbox": [30, 2, 1, 0]}]})");

  DetectionDataset read_text(const std::string& text,
                             CocoLabels labels = CocoLabels::kPlace) const {
    write_text(*this / "instances.json", text);
    return read_coco(*this / "instances.json", path(), labels);
  }
  DetectionDataset read(CocoLabels labels = CocoLabels::kPlace) const {
    return read_text(json.dump(), labels);
  }
};

void coco_is_read_in_the_order_of_its_numbers(void**) {
  const Coco coco;
  const DetectionDataset data = coco.read();
  assert_int_equal(data.size(), 2);
  assert_int_equal(data.image_id(0), 37);
  assert_int_equal(data.image_id(1), 900);
  assert_int_equal(data.class_count(), 3);
  for (const auto& [id, label] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 0}, {18, 1}, {90, 2}}) {
    assert_int_equal(data.label_of(id), label);
  }
  assert_string_equal(data.categories()[1].name.c_str(), "dog");
  assert_true(data.objects(0).empty());  // an image without annotations is kept
  assert_int_equal(data.image_size(1).width, 8);
  assert_int_equal(data.image_size(1).height, 4);

  const std::vector<DetectionObject> objects = data.objects(1);
  assert_int_equal(objects.size(), 2);
  assert_int_equal(objects[0].label, 1);
  expect_box(objects[0], {1, 1.5, 4, 3.5});
  expect_close(objects[0].area, 4.25, 0);
  assert_false(objects[0].crowd);
  expect_box(objects[1], {0, 0, 8, 2.5});  // cut at the border
  expect_close(objects[1].area, 20, 1e-12);
  assert_true(objects[1].crowd);
  assert_int_equal(data.left_out(), 2);

  assert_true(data.sample(0).image.sizes() == at::IntArrayRef({3, 6, 6}));
  assert_true(data.sample(1).image.sizes() == at::IntArrayRef({3, 4, 8}));
  assert_string_equal(data.origin()["kind"].get<std::string>().c_str(), "coco");
  assert_int_equal(data.keep_classes({1}).left_out(), 2);
}

void coco_ids_can_be_labels(void**) {
  Coco coco;
  coco.json["annotations"][3]["category_id"] = 90;
  coco.json["annotations"][3]["bbox"] = Values{3, 2, 1, 2};
  const DetectionDataset places = coco.read(), data = coco.read(CocoLabels::kId);
  assert_int_equal(data.class_count(), 91);
  for (int64_t label = 0; label < 91; ++label) {
    assert_int_equal(data.categories()[label].id, label);
    assert_int_equal(data.label_of(label), label);
  }
  const auto expect_name = [&](int64_t label, const char* name) {
    assert_string_equal(data.categories()[label].name.c_str(), name);
  };
  expect_name(0, "unused 0");
  expect_name(1, "person");
  expect_name(12, "unused 12");
  expect_name(18, "dog");
  expect_name(89, "unused 89");
  expect_name(90, "toothbrush");

  const std::vector<DetectionObject> objects = data.objects(1), placed = places.objects(1);
  assert_int_equal(objects.size(), 3);
  const Values ids = {18, 1, 90}, ranks = {1, 0, 2};
  for (size_t i = 0; i < 3; ++i) {  // the labels alone differ
    assert_int_equal(objects[i].label, ids[i]);
    DetectionObject same = objects[i];
    same.label = ranks[i];
    assert_true(same == placed[i]);
  }
  assert_int_equal(data.left_out(), 1);
  const Values counts = data.histogram();
  assert_int_equal(counts.size(), 91);
  assert_true(counts[18] == 1 && counts[90] == 1 && counts[1] == 0);  // person is a crowd
  assert_true(data.present_classes() == (Values{18, 90}));
  assert_int_equal(data.keep_classes({12}).size(), 0);
  assert_int_equal(data.keep_classes({18}).size(), 1);
  assert_true(data.content_digest() != places.content_digest());
}

void coco_ids_have_a_range(void**) {
  const auto refuse = [](Code code, const char* part, int64_t id) {
    Coco coco;
    coco.json["categories"][0]["id"] = id;
    coco.json["annotations"][0]["category_id"] = id;
    coco.read();  // any number has a place
    expect_error(code, part, [&] { coco.read(CocoLabels::kId); });
  };
  refuse(Code::kInvalidArgument,
         "\"instances.json\" has a category with the id -1; ids that are labels may be 0 to 9999",
         -1);
  refuse(Code::kInvalidArgument, "the id 10000; ids", 10000);
  refuse(Code::kInvalidArgument, "the id 9223372036854775807; ids", INT64_MAX);
  Coco coco;
  coco.json["categories"][0]["id"] = 9999;
  coco.json["annotations"][0]["category_id"] = 9999;
  assert_int_equal(coco.read(CocoLabels::kId).class_count(), 10000);
  coco.json["categories"][0]["id"] = 0;
  coco.json["annotations"][0]["category_id"] = 0;
  assert_string_equal(coco.read(CocoLabels::kId).categories()[0].name.c_str(), "dog");
  // A number that is only there to fill a gap names nothing.
  coco.json["annotations"][1]["category_id"] = 12;
  expect_error(Code::kCorrupt, "\"category_id\" is 12, which the file does not have",
               [&] { coco.read(CocoLabels::kId); });
}

void coco_is_read_again_as_it_was_read(void**) {
  const Coco coco;
  const DetectionDataset places = coco.read(), ids = coco.read(CocoLabels::kId);
  assert_false(places.origin().contains("labels"));
  assert_string_equal(ids.origin()["labels"].get<std::string>().c_str(), "id");
  for (const DetectionDataset& data : {places, ids.keep_classes({18})}) {
    const auto again = std::get<DetectionDataset>(open_reference(refer_to(data)));
    assert_int_equal(again.class_count(), data.class_count());
    assert_true(again.content_digest() == data.content_digest());
    assert_true(again.origin() == data.origin());
  }
  Json other = refer_to(ids);
  other["origin"]["labels"] = "name";
  expect_error(Code::kCorrupt, "unknown labels \"name\"", [&] { open_reference(other); });
  other["origin"].erase("labels");  // other labels are other data
  expect_error(Code::kCorrupt, "the data has changed", [&] { open_reference(other); });
}

void coco_needs_its_images(void**) {
  const Coco coco;
  const DetectionDataset data = coco.read();
  write_text(coco / "a.pgm", grey(4, 8));
  expect_error(Code::kCorrupt, "a.pgm is 4x8 but its annotations say 8x4", [&] { data.sample(1); });
  std::filesystem::remove(coco / "a.pgm");
  expect_error(Code::kNotFound, "image 0 of \"instances.json\" names the image file \"a.pgm\"",
               [&] { coco.read(); });
  expect_error(Code::kNotFound, "nothing.json",
               [&] { read_coco(coco / "nothing.json", coco.path()); });
  expect_error(Code::kNotFound, "not in the image folder",
               [&] { read_coco(coco / "instances.json", coco / "nowhere"); });
}

void coco_refuses_bad_values(void**) {
  const auto refuse = [](const char* part, const char* pointer, Json value,
                         Code code = Code::kCorrupt) {
    Coco coco;
    const Json::json_pointer at(pointer);
    value.is_discarded() ? void(coco.json[at.parent_pointer()].erase(at.back()))
                         : void(coco.json[at] = std::move(value));
    expect_error(code, part, [&] { coco.read(); });
  };
  const Json nothing(Json::value_t::discarded);
  const Json far = {30, 1, 2, 2}, above = {1, -9, 2, 2}, touching = {8, 0, 1, 1},
             inverted = {3, 1, -2, 2}, huge = {1, 1, 1e308, 1e308}, short_list = {1, 2, 3},
             words = {1, 2, "a", 3};

  refuse(
      "annotation 0 of \"instances.json\" has the box (30, 1) to (32, 3), which lies outside its "
      "image of 8x4",
      "/annotations/0/bbox", far);
  refuse("outside its image", "/annotations/0/bbox", above);
  refuse("outside its image", "/annotations/0/bbox", touching);
  refuse("whose size -2x2 is negative", "/annotations/0/bbox", inverted);
  refuse("list of 4 numbers", "/annotations/0/bbox", short_list);
  refuse("\"bbox\" must hold numbers, not \"a\"", "/annotations/0/bbox", words);
  refuse("list of 4 numbers, not \"null\"", "/annotations/0/bbox", nullptr);
  refuse("annotation 0 of \"instances.json\" has no \"bbox\"", "/annotations/0/bbox", nothing);
  refuse("\"area\" is -1", "/annotations/0/area", -1);
  refuse("\"area\" must hold numbers", "/annotations/0/area", "large");
  refuse("\"iscrowd\" must be 0 or 1, not \"2\"", "/annotations/0/iscrowd", 2);
  refuse("\"category_id\" is 2, which the file does not have", "/annotations/1/category_id", 2);
  refuse("annotation 2 of \"instances.json\": \"image_id\" is 38", "/annotations/2/image_id", 38);
  refuse("two annotations with the id 5", "/annotations/1/id", 5);
  refuse("\"id\" must be an integer, not \"1.5\"", "/annotations/0/id", 1.5);
  refuse("must be an integer, not \"18446744073709551615\"", "/annotations/0/id", UINT64_MAX);
  refuse("two images with the id 37", "/images/0/id", 37);
  refuse("two categories with the id 90", "/categories/0/id", 90);
  refuse("category 1 of \"instances.json\" has no \"name\"", "/categories/1/name", nothing);
  refuse("\"name\" must be a string, not \"7\"", "/categories/1/name", 7);
  refuse("image 0 of \"instances.json\" has the size 0x4", "/images/0/width", 0);
  refuse("the size 8x2.5", "/images/0/height", 2.5);
  refuse("the size 8x1e+09", "/images/0/height", 1e9);
  refuse("has no \"height\"", "/images/0/height", nothing);
  refuse("\"../a.pgm\", which does not lie inside", "/images/0/file_name", "../a.pgm");
  refuse("does not lie inside", "/images/0/file_name", "sub/../../a.pgm");
  refuse("\"/etc/passwd\", which does not lie inside", "/images/0/file_name", "/etc/passwd");
  refuse("does not lie inside", "/images/0/file_name", "");
  refuse("\"sub\", which is not in", "/images/0/file_name", "sub", Code::kNotFound);
  refuse("no list \"images\"", "/images", nothing);
  refuse("no list \"annotations\"", "/annotations", Json::object());
  refuse("has no category", "/categories", Json::array());
  refuse("has no image", "/images", Json::array());
  refuse("image 1 of \"instances.json\" must be an object, not \"3\"", "/images/1", 3);

  Coco coco;
  coco.json["annotations"][0]["bbox"] = huge;  // as far as the border
  expect_box(coco.read().objects(1)[0], {1, 1, 8, 4});
}

void coco_refuses_what_is_no_json(void**) {
  const Coco coco;
  const std::string whole = coco.json.dump();
  const auto with_box = [&](const std::string& number) {
    std::string text = whole;
    return text.replace(text.find("[1,1.5,3,2]"), 11, "[1," + number + ",3,2]");
  };
  expect_error(Code::kCorrupt, "not valid JSON at byte 40 near \"1,N\"",
               [&] { coco.read_text(with_box("NaN")); });
  expect_error(Code::kCorrupt, "near \"1,I\"", [&] { coco.read_text(with_box("Infinity")); });
  expect_error(Code::kCorrupt, "1e999", [&] { coco.read_text(with_box("1e999")); });
  expect_error(Code::kCorrupt, "\"instances.json\" must hold a JSON object, not array",
               [&] { coco.read_text("[]"); });
  expect_error(Code::kCorrupt, "not valid JSON", [&] { coco.read_text(""); });
  expect_error(Code::kCorrupt, "names the key \"id\" twice",
               [&] { coco.read_text(R"({"categories": [{"id": 1, "id": 2}]})"); });
  expect_error(Code::kLimitExceeded, "nested deeper",
               [&] { coco.read_text(std::string(100'000, '[')); });
  for (size_t size = 0; size < whole.size(); size += 7) {
    expect_error(Code::kCorrupt, "not valid JSON", [&] { coco.read_text(whole.substr(0, size)); });
  }
}

// ------------------------------------------------------------------------------------- VOC

/// An <object>; `more` comes first inside.
std::string voc_object(const std::string& name, const std::vector<std::string>& box,
                       const std::string& more = "") {
  return "<object>" + more + "<name>" + name + "</name><bndbox><xmin>" + box[0] + "</xmin><ymin>" +
         box[1] + "</ymin><xmax>" + box[2] + "</xmax><ymax>" + box[3] + "</ymax></bndbox></object>";
}

std::string voc_file(const std::string& objects, const std::string& image = "a.pgm",
                     const std::string& width = "8", const std::string& height = "4") {
  return "<annotation>\n<folder>VOC2007</folder><filename>" + image + "</filename>\n<size><width>" +
         width + "</width><height>" + height + "</height><depth>3</depth></size>" + objects +
         "</annotation>\n";
}

class Voc : public Photos {
 public:
  Voc() { std::filesystem::create_directories(*this / "Annotations"); }
  Voc& add(const std::string& name, const std::string& text) {
    write_text(*this / ("Annotations/" + name), text);
    return *this;
  }
  DetectionDataset read(const std::vector<std::string>& names = {}) const {
    return read_voc(*this / "Annotations", path(), names);
  }
};

void voc_counts_pixels_from_one_both_ends_included(void**) {
  Voc voc;
  voc.add("2.xml", voc_file(voc_object("dog", {"1", "1", "8", "4"}) +
                            voc_object("cat", {"3", "2", "3", "4"}, "<truncated>1</truncated>") +
                            voc_object("cat", {"2.5", "1", "4", "4"}, "<difficult>1</difficult>")));
  voc.add("10.xml",
          "<?xml version=\"1.0\"?><!-- no objects -->" + voc_file("", "sub/b.pgm", "6", "6"));
  voc.add("notes.txt", "ignored").add(".3.xml", "ignored");
  const DetectionDataset data = voc.read();
  assert_int_equal(data.size(), 2);
  assert_int_equal(data.class_count(), 2);
  assert_string_equal(data.categories()[0].name.c_str(), "cat");
  assert_string_equal(data.categories()[1].name.c_str(), "dog");
  assert_true(data.objects(0).empty());  // 10.xml comes before 2.xml
  assert_int_equal(data.image_size(0).width, 6);
  const std::vector<DetectionObject> objects = data.objects(1);
  assert_int_equal(objects.size(), 3);
  expect_box(objects[0], {0, 0, 8, 4});  // the whole image
  expect_close(objects[0].area, 32, 1e-12);
  expect_box(objects[1], {2, 1, 3, 4});  // one column, three rows
  assert_int_equal(objects[1].label, 0);
  assert_false(objects[1].crowd);
  expect_box(objects[2], {1.5, 0, 4, 4});
  assert_true(objects[2].crowd);  // difficult
  assert_int_equal(data.left_out(), 0);
  assert_true(data.sample(1).image.sizes() == at::IntArrayRef({3, 4, 8}));
}

void voc_takes_parts_and_given_names_as_they_are(void**) {
  Voc voc;
  const std::string part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>";
  voc.add("1.xml", voc_file(voc_object(" dog\n", {" 0", "0 ", "20", "3"}, part) +
                            voc_object("dog", {"5", "1", "4", "3"})));
  const DetectionDataset data = voc.read({"zebra", "dog"});
  assert_int_equal(data.class_count(), 2);
  assert_int_equal(data.objects(0)[0].label, 1);
  expect_box(data.objects(0)[0], {0, 0, 8, 3});  // cut at the border
  assert_int_equal(data.objects(0).size(), 1);
  assert_int_equal(data.left_out(), 1);  // 5 to 4 has no pixel
  expect_error(Code::kInvalidArgument, "\"a.pgm\" shows the category \"dog\"",
               [&] { voc.read({"zebra"}); });
  expect_error(Code::kInvalidArgument, "\"dog\" is given twice", [&] { voc.read({"dog", "dog"}); });
}

void voc_refuses_bad_values(void**) {
  const auto refuse = [](Code code, const char* part, const std::string& text) {
    Voc voc;
    voc.add("1.xml", text);
    expect_error(code, part, [&] { voc.read(); });
  };
  const auto refuse_box = [&](const char* part, const std::vector<std::string>& box) {
    refuse(Code::kCorrupt, part, voc_file(voc_object("dog", box)));
  };
  for (const char* number : {"nan", "inf", "-inf", "1e999", "1e-999", "", "12px", "0x10", "1,5"}) {
    refuse_box("\"1.xml\": <xmax> is", {"1", "1", number, "3"});
  }
  refuse_box("lies outside its image of 8x4", {"9", "1", "12", "3"});
  refuse_box("lies outside its image", {"1e300", "1", "1e301", "3"});
  refuse_box("is negative", {"5", "1", "2", "3"});
  const std::string good = voc_object("dog", {"1", "1", "2", "2"});
  refuse(Code::kCorrupt, "the size 0x4", voc_file(good, "a.pgm", "0"));
  refuse(Code::kCorrupt, "the size 1e+300x4", voc_file(good, "a.pgm", "1e300"));
  refuse(Code::kCorrupt, "<width> is \"many\"", voc_file(good, "a.pgm", "many"));
  refuse(Code::kNotFound, "\"1.xml\" names the image file \"c.pgm\"", voc_file(good, "c.pgm"));
  refuse(Code::kCorrupt, "does not lie inside", voc_file(good, "../a.pgm"));
  refuse(Code::kCorrupt, "<difficult> is 2",
         voc_file(voc_object("dog", {"1", "1", "2", "2"}, "<difficult>2</difficult>")));
  refuse(Code::kCorrupt, "no <bndbox> in <object>", voc_file("<object><name>dog</name></object>"));
  refuse(Code::kCorrupt, "without a name", voc_file(voc_object(" ", {"1", "1", "2", "2"})));
  refuse(Code::kCorrupt, "no <size> in <annotation>",
         "<annotation><filename>a.pgm</filename></annotation>");
  refuse(Code::kCorrupt, "no <annotation>", "<html/>");
  refuse(Code::kInvalidArgument, "not valid UTF-8",
         voc_file(voc_object("d\xffg", {"1", "1", "2", "2"})));
  refuse(Code::kNotFound, "names no object", voc_file(""));

  const Voc empty;
  expect_error(Code::kNotFound, "\"Annotations\" holds no .xml file", [&] { empty.read(); });
  expect_error(Code::kNotFound, "nowhere", [&] { read_voc(empty / "nowhere", empty.path()); });
}

void voc_refuses_hostile_xml(void**) {
  const auto refuse = [](Code code, const char* part, const std::string& text) {
    Voc voc;
    voc.add("1.xml", text);
    expect_error(code, part, [&] { voc.read(); });
  };
  std::string bomb = "<!DOCTYPE annotation [<!ENTITY a0 \"dog\">";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "&a" + std::to_string(i - 1) + ";";
    bomb += "<!ENTITY a" + std::to_string(i) + " \"" + before + before + "\">";
  }
  const std::vector<std::string> box = {"1", "1", "2", "2"};
  refuse(Code::kUnsupported, "document type", bomb + "]>" + voc_file(voc_object("&a29;", box)));
  refuse(Code::kUnsupported, "document type",
         "<!DOCTYPE a SYSTEM \"file:///etc/passwd\">" + voc_file(voc_object("dog", box)));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  refuse(Code::kLimitExceeded, "nested deeper than 100", deep);
  refuse(Code::kLimitExceeded, "16777216", std::string((16 << 20) + 1, ' '));
  refuse(Code::kCorrupt, "NUL", voc_file(voc_object("d\0g"s, box)));
  const std::string whole = voc_file(voc_object("dog", box));
  for (size_t size = 0; size + 2 < whole.size(); ++size) {
    refuse(Code::kCorrupt, "1.xml", whole.substr(0, size));
  }
}

}  // namespace

int main() {
  const CMUnitTest coco[] = {
      cmocka_unit_test(coco_is_read_in_the_order_of_its_numbers),
      cmocka_unit_test(coco_ids_can_be_labels),
      cmocka_unit_test(coco_ids_have_a_range),
      cmocka_unit_test(coco_is_read_again_as_it_was_read),
      cmocka_unit_test(coco_needs_its_images),
      cmocka_unit_test(coco_refuses_bad_values),
      cmocka_unit_test(coco_refuses_what_is_no_json),
  };
  const CMUnitTest voc[] = {
      cmocka_unit_test(voc_counts_pixels_from_one_both_ends_included),
      cmocka_unit_test(voc_takes_parts_and_given_names_as_they_are),
      cmocka_unit_test(voc_refuses_bad_values),
      cmocka_unit_test(voc_refuses_hostile_xml),
  };
  return cmocka_run_group_tests_name("data: COCO", coco, nullptr, nullptr) +
         cmocka_run_group_tests_name("data: Pascal VOC", voc, nullptr, nullptr);
}
