using System;

namespace Lethe
{
    /// <summary>Labelled images in memory. Datasets do not change.</summary>
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

        /// <summary>A part of the dataset; pixels are shared, not copied.</summary>
        /// <param name="what">What <paramref name="values"/> are.</param>
        /// <param name="values">Class ids or positions; null or empty only to drop no
        /// class.</param>
        /// <param name="fewShot">Above 0: then keeps that many random samples of each
        /// class.</param>
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
        /// <param name="fraction">Part of each class that the second gets, 0..1, rounded.</param>
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
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside.</exception>
        public float[] Sample(long index, out long label)
        {
            Native.dataset_sample(Handle, index, out BufferHandle image, out label);
            return image.TakeFloats();
        }

        /// <summary>A sample as the model will see it.</summary>
        /// <param name="index">0..<see cref="Size"/>-1.</param>
        /// <returns>Its pixels, row-major C,H,W.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside.</exception>
        public float[] Sample(long index)
        {
            return Sample(index, out _);
        }

        /// <summary>Size, classes, names, samples per class, image shape, transform and content
        /// digest, as JSON.</summary>
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
