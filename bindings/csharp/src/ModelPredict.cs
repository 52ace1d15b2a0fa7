using System;

namespace Lethe
{
    /* What the model says of images. Arrays are pinned for the call and never copied. */
    public sealed partial class Model
    {
        /// <summary>Class scores of images (cosine heads: scale times cosine, no margin). Runs on
        /// the state of the model at the time of the call; equal state, thread count and build give
        /// equal bits.</summary>
        /// <param name="images">Row-major N,C,H,W, normalised as the model was trained,
        /// finite.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each class.</returns>
        /// <exception cref="ArgumentException">The array does not fit its shape.</exception>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: a shape that the
        /// model does not have, NaN or infinity; <see cref="Status.Unsupported"/>: the model is a
        /// detector.</exception>
        public unsafe Scores Predict(float[] images, long[] shape, int threads = 0)
        {
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            fixed (float* data = images) return Predict(data, shape, threads);
        }

        /// <summary>The same for images in memory that does not move.</summary>
        /// <param name="images">As many values as the shape says, aligned.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each class.</returns>
        /// <exception cref="LetheException">As <see cref="Predict(float[], long[],
        /// int)"/>.</exception>
        [CLSCompliant(false)]
        public unsafe Scores Predict(float* images, long[] shape, int threads = 0)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            long count = Check.Elements(shape, nameof(shape));
            fixed (long* extents = shape)
            {
                Native.model_predict(Handle, images, count, extents, shape.Length, threads,
                    out BufferHandle logits);
                return new Scores(logits.TakeFloats(), Rows(shape));
            }
        }

        /// <summary>Embeddings of images, the head's input.</summary>
        /// <param name="images">As for <see cref="Predict(float[], long[], int)"/>.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each dimension.</returns>
        /// <exception cref="ArgumentException">The array does not fit its shape.</exception>
        /// <exception cref="LetheException">As <see cref="Predict(float[], long[],
        /// int)"/>.</exception>
        public unsafe Scores Embed(float[] images, long[] shape, int threads = 0)
        {
            Check.Fits(Check.NotNull(images, nameof(images)).Length, nameof(images), shape,
                nameof(shape));
            fixed (float* data = images) return Embed(data, shape, threads);
        }

        /// <summary>The same for images in memory that does not move.</summary>
        /// <param name="images">As many values as the shape says, aligned.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each dimension.</returns>
        /// <exception cref="LetheException">As <see cref="Predict(float[], long[],
        /// int)"/>.</exception>
        [CLSCompliant(false)]
        public unsafe Scores Embed(float* images, long[] shape, int threads = 0)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            long count = Check.Elements(shape, nameof(shape));
            fixed (long* extents = shape)
            {
                Native.model_embed(Handle, images, count, extents, shape.Length, threads,
                    out BufferHandle embeddings);
                return new Scores(embeddings.TakeFloats(), Rows(shape));
            }
        }

        /// <summary>Class scores of every sample of a dataset, in its order.</summary>
        /// <param name="dataset">Samples of the model's image shape.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>A row for each sample, a column for each class.</returns>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: another
        /// shape.</exception>
        public Scores PredictDataset(Dataset dataset, int threads = 0)
        {
            DatasetHandle samples = Check.NotNull(dataset, nameof(dataset)).Handle;
            Native.model_predict_dataset(Handle, samples, threads, out BufferHandle logits);
            return new Scores(logits.TakeFloats(), Native.dataset_size(samples));
        }

        /// <summary>Accuracy over a dataset, in percent: acc (all), acc_f, acc_r, acc_o,
        /// acc_class.N for each class with samples, samples, seconds; of a detector ap and ap50 for
        /// acc, the COCO AP in percent.</summary>
        /// <param name="dataset">Samples of the model's image shape.</param>
        /// <param name="options">Null: the defaults.</param>
        /// <returns>A report of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: another shape, an
        /// option out of range.</exception>
        public unsafe Report Evaluate(Dataset dataset, EvaluateOptions options = null)
        {
            DatasetHandle samples = Check.NotNull(dataset, nameof(dataset)).Handle;
            EvaluateOptions o = options ?? new EvaluateOptions();
            long[] forget = o.ForgetClasses, past = o.PastClasses;
            fixed (long* forgetIds = forget)
            fixed (long* pastIds = past)
            {
                Native.model_evaluate(Handle, samples, o.Threads, o.Batch ?? 0, o.Margin ? 1 : 0,
                    o.Base ? 1 : 0, forget == null ? 1 : 0, forgetIds, forget?.Length ?? 0,
                    past == null ? 1 : 0, pastIds, past?.Length ?? 0, out ReportHandle report);
                return new Report(report);
            }
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>Class scores of images anywhere in memory.</summary>
        /// <param name="images">As for <see cref="Predict(float[], long[], int)"/>.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each class.</returns>
        /// <exception cref="ArgumentException">The span does not fit its shape.</exception>
        /// <exception cref="LetheException">As <see cref="Predict(float[], long[],
        /// int)"/>.</exception>
        public unsafe Scores Predict(ReadOnlySpan<float> images, long[] shape, int threads = 0)
        {
            Check.Fits(images.Length, nameof(images), shape, nameof(shape));
            fixed (float* data = &System.Runtime.InteropServices.MemoryMarshal.GetReference(images))
            {
                return Predict(data, shape, threads);
            }
        }

        /// <summary>Embeddings of images anywhere in memory.</summary>
        /// <param name="images">As for <see cref="Predict(float[], long[], int)"/>.</param>
        /// <param name="shape">N, C, H, W.</param>
        /// <param name="threads">0: all processors.</param>
        /// <returns>N rows, a column for each dimension.</returns>
        /// <exception cref="ArgumentException">The span does not fit its shape.</exception>
        /// <exception cref="LetheException">As <see cref="Predict(float[], long[],
        /// int)"/>.</exception>
        public unsafe Scores Embed(ReadOnlySpan<float> images, long[] shape, int threads = 0)
        {
            Check.Fits(images.Length, nameof(images), shape, nameof(shape));
            fixed (float* data = &System.Runtime.InteropServices.MemoryMarshal.GetReference(images))
            {
                return Embed(data, shape, threads);
            }
        }
#endif

        static long Rows(long[] shape)
        {
            return shape.Length == 0 ? 0 : shape[0];
        }
    }
}
