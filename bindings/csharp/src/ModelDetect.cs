using System;
using System.Collections.Generic;

namespace Lethe
{
    /* What a detector finds in images. Arrays are pinned for the call and never copied. */
    public sealed partial class Model
    {
        /// <summary>What a detector finds in images. One place can be found as several classes,
        /// nothing is dropped for overlapping. Runs on the state of the model at the time of the
        /// call.</summary>
        /// <param name="images">Row-major N,3,H,W, values 0..255, of any size.</param>
        /// <param name="shape">N, 3, H, W.</param>
        /// <param name="most">That many objects an image, the best: 1..1000, 100 is COCO's.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>A list for each image, of at most so many objects, best first.</returns>
        /// <exception cref="ArgumentException">The array does not fit its shape.</exception>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: another number of
        /// channels, <paramref name="most"/> out of range; <see cref="Status.Unsupported"/>: the
        /// model is an image classifier.</exception>
        public unsafe IReadOnlyList<IReadOnlyList<DetectedObject>> Detect(byte[] images,
            long[] shape, int most = 100, int threads = 0)
        {
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            fixed (byte* data = images) return Detect(data, shape, most, threads);
        }

        /// <summary>The same for images in memory that does not move.</summary>
        /// <param name="images">As many values as the shape says.</param>
        /// <param name="shape">N, 3, H, W.</param>
        /// <param name="most">That many objects an image, the best: 1..1000, 100 is COCO's.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>A list for each image, of at most so many objects, best first.</returns>
        /// <exception cref="LetheException">As <see cref="Detect(byte[], long[], int,
        /// int)"/>.</exception>
        [CLSCompliant(false)]
        public unsafe IReadOnlyList<IReadOnlyList<DetectedObject>> Detect(byte* images,
            long[] shape, int most = 100, int threads = 0)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            long count = Check.Elements(shape, nameof(shape));
            fixed (long* extents = shape)
            {
                Native.model_detect(Handle, images, count, extents, shape.Length, most, threads,
                    out BufferHandle detections);
                return DetectedObject.ListsOf(detections.TakeFloats(), Rows(shape));
            }
        }

        /// <summary>What a detector finds in every image of a dataset with boxes, in its order, in
        /// each image's own pixels.</summary>
        /// <param name="dataset">A dataset with boxes.</param>
        /// <param name="most">That many objects an image, the best: 1..1000, 100 is COCO's.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>A list for each image, of at most so many objects, best first.</returns>
        /// <exception cref="LetheException">As <see cref="Detect(byte[], long[], int, int)"/>, and
        /// <see cref="Status.Unsupported"/>: the dataset has no boxes.</exception>
        public IReadOnlyList<IReadOnlyList<DetectedObject>> DetectDataset(Dataset dataset,
            int most = 100, int threads = 0)
        {
            DatasetHandle images = Check.NotNull(dataset, nameof(dataset)).Handle;
            Native.model_detect_dataset(Handle, images, most, threads,
                out BufferHandle detections);
            return DetectedObject.ListsOf(detections.TakeFloats(), Native.dataset_size(images));
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>What a detector finds in images anywhere in memory.</summary>
        /// <param name="images">As for <see cref="Detect(byte[], long[], int, int)"/>.</param>
        /// <param name="shape">N, 3, H, W.</param>
        /// <param name="most">That many objects an image, the best: 1..1000, 100 is COCO's.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>A list for each image, of at most so many objects, best first.</returns>
        /// <exception cref="ArgumentException">The span does not fit its shape.</exception>
        /// <exception cref="LetheException">As <see cref="Detect(byte[], long[], int,
        /// int)"/>.</exception>
        public unsafe IReadOnlyList<IReadOnlyList<DetectedObject>> Detect(
            ReadOnlySpan<byte> images, long[] shape, int most = 100, int threads = 0)
        {
            Check.Fits(images.Length, nameof(images), shape, nameof(shape));
            fixed (byte* data = &System.Runtime.InteropServices.MemoryMarshal.GetReference(images))
            {
                return Detect(data, shape, most, threads);
            }
        }
#endif
    }
}
