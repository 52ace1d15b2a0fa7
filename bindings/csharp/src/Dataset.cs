using System;
using System.Collections.Generic;

namespace Lethe
{
    /// <summary>Images, each with a label, or with boxes around any number of objects. Datasets do
    /// not change.</summary>
    /// <remarks>A dataset with boxes comes from <see cref="FromCoco"/>, <see cref="FromVoc"/> or
    /// <see cref="FromBoxes"/> and is for detectors only; tasks take it as they take the other
    /// kind. What is of one kind alone fails with <see cref="Status.Unsupported"/> for the
    /// other.</remarks>
    public sealed class Dataset : IDisposable
    {
        readonly DatasetHandle handle;

        Dataset(DatasetHandle handle)
        {
            this.handle = handle;
        }

        internal DatasetHandle Handle => handle.Open(nameof(Dataset));

        /// <summary>A dataset from an array of floats, which is copied.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="images">Row-major N,C,H,W, finite, in the scale that "mean" and "std" of
        /// the transform expect (0..1 without them).</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="labels">N class ids, each in 0..classCount-1.</param>
        /// <param name="classCount">Number of classes.</param>
        /// <param name="transformJson">{"pad":0,"channels":3,"mean":[..],"std":[..]}; null:
        /// none.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="ArgumentException">An array does not fit the shape.</exception>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: wrong shape, a
        /// label out of range, NaN or infinity.</exception>
        public static unsafe Dataset FromTensors(LetheRuntime runtime, float[] images, long[] shape,
            long[] labels, long classCount, string transformJson = null)
        {
            RuntimeHandle owner = Check.NotNull(runtime, nameof(runtime)).Handle;
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            Check.Labels(labels, shape);
            byte[] transform = Text.Optional(transformJson, nameof(transformJson));
            fixed (float* data = images)
            fixed (long* extents = shape)
            fixed (long* ids = labels)
            {
                Native.dataset_from_floats(owner, data, images.Length, extents, shape.Length, ids,
                    labels.Length, classCount, transform, out DatasetHandle dataset);
                return new Dataset(dataset);
            }
        }

        /// <summary>A dataset from an array of bytes, which is copied.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="images">Row-major N,C,H,W, values 0..255, which become 0..1.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="labels">N class ids, each in 0..classCount-1.</param>
        /// <param name="classCount">Number of classes.</param>
        /// <param
        /// name="transformJson">{"resize":256,"center_crop":224,"pad":0,"channels":3,"mean":[..],
        /// "std":[..]}, in this order, absent ones are skipped; null: none.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="ArgumentException">An array does not fit the shape.</exception>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: wrong shape, a
        /// label out of range.</exception>
        public static unsafe Dataset FromTensors(LetheRuntime runtime, byte[] images, long[] shape,
            long[] labels, long classCount, string transformJson = null)
        {
            RuntimeHandle owner = Check.NotNull(runtime, nameof(runtime)).Handle;
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            Check.Labels(labels, shape);
            byte[] transform = Text.Optional(transformJson, nameof(transformJson));
            fixed (byte* data = images)
            fixed (long* extents = shape)
            fixed (long* ids = labels)
            {
                Native.dataset_from_bytes(owner, data, images.Length, extents, shape.Length, ids,
                    labels.Length, classCount, transform, out DatasetHandle dataset);
                return new Dataset(dataset);
            }
        }

        /// <summary>Reads an IDX pair (MNIST, Fashion-MNIST), plain or gzip-compressed.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="imagesPath">The images.</param>
        /// <param name="labelsPath">The labels.</param>
        /// <param name="classCount">0: the largest label + 1.</param>
        /// <param name="transformJson">As for <see cref="FromTensors(LetheRuntime, byte[], long[],
        /// long[], long, string)"/>.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>, <see cref="Status.Io"/>,
        /// <see cref="Status.Corrupt"/>: bad magic, truncated, counts differ; <see
        /// cref="Status.LimitExceeded"/>.</exception>
        public static Dataset FromIdx(LetheRuntime runtime, string imagesPath, string labelsPath,
            long classCount = 0, string transformJson = null)
        {
            Native.dataset_from_idx(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(imagesPath, nameof(imagesPath)),
                Text.Required(labelsPath, nameof(labelsPath)),
                classCount, Text.Optional(transformJson, nameof(transformJson)),
                out DatasetHandle dataset);
            return new Dataset(dataset);
        }

        /// <summary>Reads a folder with one sub-folder a class, numbered in lexicographic order:
        /// .jpg, .jpeg, .png, .ppm, .pgm. All images must have one size and channel count after the
        /// transform.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="path">The folder.</param>
        /// <param name="transformJson">As for <see cref="FromTensors(LetheRuntime, byte[], long[],
        /// long[], long, string)"/>.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no folder, no class, no
        /// image; <see cref="Status.Corrupt"/>: an image that cannot be decoded; <see
        /// cref="Status.Io"/>.</exception>
        public static Dataset FromImageFolder(LetheRuntime runtime, string path,
            string transformJson = null)
        {
            Native.dataset_from_image_folder(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(path, nameof(path)),
                Text.Optional(transformJson, nameof(transformJson)), out DatasetHandle dataset);
            return new Dataset(dataset);
        }

        /// <summary>Reads COCO instances: one JSON file with "images", "annotations" and
        /// "categories", and the folder of its images. A category's class is its place by ascending
        /// id, 0 to 79 of COCO's own files: for models that are trained on such a dataset;
        /// checkpoints from elsewhere are often numbered by the ids, see <see cref="FromCocoIds"/>.
        /// Images are decoded when they are looked at. Boxes are cut at the image's border;
        /// those without an area are left out and counted ("left_out" of <see cref="InfoJson"/>).
        /// Crowds are neither learnt nor counted, as COCO does.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="annotationsPath">The JSON file.</param>
        /// <param name="imageFolder">The folder of the images.</param>
        /// <returns>A dataset with boxes, of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: the file, the folder, an
        /// image; <see cref="Status.Corrupt"/>: not JSON, an id that nothing has or two have, a box
        /// outside its image, of negative size or not finite; <see
        /// cref="Status.LimitExceeded"/>.</exception>
        public static Dataset FromCoco(LetheRuntime runtime, string annotationsPath,
            string imageFolder)
        {
            Native.dataset_from_coco(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(annotationsPath, nameof(annotationsPath)),
                Text.Required(imageFolder, nameof(imageFolder)), out DatasetHandle dataset);
            return new Dataset(dataset);
        }

        /// <summary>Reads COCO instances as <see cref="FromCoco"/> does, but a category's class is
        /// its id. For models whose outputs are numbered as COCO numbers its categories, 91 of them
        /// in the public checkpoints. The classes are 0 to the highest id of the file; numbers that
        /// it leaves out are classes without objects, called "unused 12", and no figure counts
        /// them.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="annotationsPath">The JSON file.</param>
        /// <param name="imageFolder">The folder of the images.</param>
        /// <returns>A dataset with boxes, of the caller's.</returns>
        /// <exception cref="LetheException">As <see cref="FromCoco"/>, and <see
        /// cref="Status.InvalidArgument"/>: an id below 0 or above 9999; the message names
        /// it.</exception>
        public static Dataset FromCocoIds(LetheRuntime runtime, string annotationsPath,
            string imageFolder)
        {
            Native.dataset_from_coco_ids(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(annotationsPath, nameof(annotationsPath)),
                Text.Required(imageFolder, nameof(imageFolder)), out DatasetHandle dataset);
            return new Dataset(dataset);
        }

        /// <summary>Reads Pascal VOC: a folder of XML files, one an image, and the folder of the
        /// images. Difficult objects are treated as crowds. Otherwise as <see
        /// cref="FromCoco"/>.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="annotationsFolder">The folder of the XML files.</param>
        /// <param name="imageFolder">The folder of the images; may be the same.</param>
        /// <param name="classNames">The classes in their order; null or empty: all names found, in
        /// lexicographic order.</param>
        /// <returns>A dataset with boxes, of the caller's.</returns>
        /// <exception cref="LetheException">As <see cref="FromCoco"/>, and <see
        /// cref="Status.InvalidArgument"/>: a name that <paramref name="classNames"/> lacks; <see
        /// cref="Status.Unsupported"/>: a document type.</exception>
        public static Dataset FromVoc(LetheRuntime runtime, string annotationsFolder,
            string imageFolder, IReadOnlyList<string> classNames = null)
        {
            string names = classNames == null || classNames.Count == 0 ? null
                : Text.JsonList(classNames, nameof(classNames));
            Native.dataset_from_voc(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(annotationsFolder, nameof(annotationsFolder)),
                Text.Required(imageFolder, nameof(imageFolder)),
                Text.Optional(names, nameof(classNames)), out DatasetHandle dataset);
            return new Dataset(dataset);
        }

        /// <summary>A dataset with boxes from arrays, which are copied.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="images">Row-major N,3,H,W, values 0..255.</param>
        /// <param name="shape">N, 3, H, W.</param>
        /// <param name="boxes">M times left, top, right, bottom in pixels, inside the image and
        /// with an area.</param>
        /// <param name="labels">M class ids, each in 0..classCount-1.</param>
        /// <param name="imageOf">M times the image that the box is in, 0..N-1.</param>
        /// <param name="classCount">Number of classes.</param>
        /// <returns>A dataset with boxes, of the caller's.</returns>
        /// <exception cref="ArgumentException">An array does not fit the shape or the
        /// labels.</exception>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: wrong shape, a
        /// box, a label or an image out of range.</exception>
        public static unsafe Dataset FromBoxes(LetheRuntime runtime, byte[] images, long[] shape,
            float[] boxes, long[] labels, long[] imageOf, long classCount)
        {
            RuntimeHandle owner = Check.NotNull(runtime, nameof(runtime)).Handle;
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            long objects = Check.NotNull(labels, nameof(labels)).Length;
            Check.ForEach(Check.NotNull(boxes, nameof(boxes)).Length, 4, objects, nameof(boxes));
            Check.ForEach(Check.NotNull(imageOf, nameof(imageOf)).Length, 1, objects,
                nameof(imageOf));
            fixed (byte* data = images)
            fixed (long* extents = shape)
            fixed (float* corners = boxes)
            fixed (long* ids = labels)
            fixed (long* places = imageOf)
            {
                Native.dataset_from_boxes(owner, data, images.Length, extents, shape.Length,
                    corners, boxes.Length, ids, labels.Length, places, imageOf.Length, classCount,
                    out DatasetHandle dataset);
                return new Dataset(dataset);
            }
        }

        /// <summary>A part of the dataset; pixels are shared, not copied. With boxes: images with
        /// an object of these (of other) classes, and of their objects only those.</summary>
        /// <param name="what">What <paramref name="values"/> are.</param>
        /// <param name="values">Class ids or positions; null or empty only to drop no
        /// class.</param>
        /// <param name="fewShot">Above 0: then keeps that many random samples of each class, with
        /// boxes that many times the number of classes images in all.</param>
        /// <param name="seed">Of their choice.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: a class the dataset does
        /// not know; <see cref="Status.InvalidArgument"/>.</exception>
        public unsafe Dataset Select(Select what, long[] values, long fewShot = 0, long seed = 0)
        {
            if (what != Lethe.Select.DropClasses) Check.NotEmpty(values, nameof(values));
            fixed (long* list = values)
            {
                Native.dataset_select(Handle, (int)what, list, values?.Length ?? 0, fewShot, seed,
                    out DatasetHandle part);
                return new Dataset(part);
            }
        }

        /// <summary>Two disjoint parts. Equal seeds give equal parts.</summary>
        /// <param name="fraction">Part of each class (with boxes: of all images) that the second
        /// gets, 0..1, rounded.</param>
        /// <param name="seed">Of the choice.</param>
        /// <returns>Two datasets of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: fraction out of
        /// range.</exception>
        public (Dataset First, Dataset Second) Split(double fraction, long seed = 0)
        {
            Native.dataset_split(Handle, fraction, seed, out DatasetHandle first,
                out DatasetHandle second);
            return (new Dataset(first), new Dataset(second));
        }

        /// <summary>Number of samples.</summary>
        public long Size => Native.dataset_size(Handle);

        /// <summary>A sample as the model will see it.</summary>
        /// <param name="index">0..<see cref="Size"/>-1.</param>
        /// <param name="label">Its class.</param>
        /// <returns>Its pixels, row-major C,H,W.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside; <see
        /// cref="Status.Unsupported"/>: the dataset has boxes, see <see cref="Image"/>.</exception>
        public float[] Sample(long index, out long label)
        {
            Native.dataset_sample(Handle, index, out BufferHandle image, out label);
            return image.TakeFloats();
        }

        /// <summary>A sample as the model will see it.</summary>
        /// <param name="index">0..<see cref="Size"/>-1.</param>
        /// <returns>Its pixels, row-major C,H,W.</returns>
        /// <exception cref="LetheException">As <see cref="Sample(long, out long)"/>.</exception>
        public float[] Sample(long index)
        {
            return Sample(index, out _);
        }

        /// <summary>An image of a dataset with boxes, as its source has it.</summary>
        /// <param name="index">0..<see cref="Size"/>-1.</param>
        /// <param name="height">Its height in pixels.</param>
        /// <param name="width">Its width.</param>
        /// <returns>Its pixels, 0..255, row-major 3,H,W.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside; <see
        /// cref="Status.Unsupported"/>: the dataset has no boxes; <see cref="Status.Io"/>, <see
        /// cref="Status.Corrupt"/>: the file.</exception>
        public byte[] Image(long index, out int height, out int width)
        {
            Native.dataset_image(Handle, index, out BufferHandle image, out long rows,
                out long columns);
            height = (int)rows;
            width = (int)columns;
            return image.TakeBytes();
        }

        /// <summary>The objects in an image of a dataset with boxes.</summary>
        /// <param name="index">0..<see cref="Size"/>-1.</param>
        /// <returns>A list that does not change.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside; <see
        /// cref="Status.Unsupported"/>: the dataset has no boxes.</exception>
        public IReadOnlyList<DetectedObject> Objects(long index)
        {
            Native.dataset_objects(Handle, index, out BufferHandle objects);
            return DetectedObject.ListOf(objects.TakeFloats());
        }

        /// <summary>The same images without a part of their objects: annotations that were never
        /// made. Crowds stay. Equal seeds leave out equal objects.</summary>
        /// <param name="share">Part of the objects that is left out, 0..1.</param>
        /// <param name="seed">Of the choice.</param>
        /// <returns>A dataset of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.Unsupported"/>: the dataset has no
        /// boxes; <see cref="Status.InvalidArgument"/>: share out of range.</exception>
        public Dataset DropObjects(double share, long seed = 0)
        {
            Native.dataset_drop_objects(Handle, share, seed, out DatasetHandle part);
            return new Dataset(part);
        }

        /// <summary>Size, classes, names, samples per class, image shape, transform and content
        /// digest, as JSON. With boxes: size, class_count, categories (id, name), objects per
        /// class, left_out and content digest.</summary>
        /// <returns>JSON.</returns>
        public string InfoJson()
        {
            Native.dataset_info_json(Handle, out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>Lets go of the dataset. Jobs that use it keep what they need.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
