/**
 * Pre-trained vision models that forget, one request after another.
 *
 * <p>A {@link io.lethe.LetheRuntime} is the surroundings of models and datasets. A {@link
 * io.lethe.Model} is a base, whose weights never change, and a stack of {@link io.lethe.Adapter
 * adapters}, one for each finished forget task. An {@link io.lethe.Engine} queues tasks for one
 * model and works them off on its own thread; each task is a {@link io.lethe.Job} that either
 * commits one adapter or leaves the model as it was. Predictions always run on a complete,
 * immutable state of the model and never wait for training.
 *
 * <pre>{@code
 * try (LetheRuntime runtime = LetheRuntime.create();
 *     Model model = Model.create(runtime, spec);
 *     Dataset train = Dataset.fromIdx(runtime, images, labels, 10, transform)) {
 *   model.loadWeights(Path.of("model.safetensors"));
 *   try (Engine engine = Engine.create(model);
 *       Job job = engine.enqueue(ForgetTask.of(train, 1, 2).requestId("customer-81"))) {
 *     System.out.println(job.await().orThrow().metrics());
 *   }
 * }
 * }</pre>
 *
 * <p><b>Threads.</b> Every class may be used from any number of threads at once, builders excepted.
 * Nothing calls back on a foreign thread: events and log lines are pulled by Java threads. Only
 * {@link io.lethe.Job#await()}, {@link io.lethe.Engine#waitIdle()} and the futures wait without
 * holding a thread inside native code, so that they suit virtual threads.
 *
 * <p><b>Closing.</b> Objects with a native part are {@link io.lethe.Handle handles}. Closing twice
 * is fine, in any order; use after closing throws {@link java.lang.IllegalStateException}. An
 * object may be closed while other threads are inside its methods: they finish, and the last one
 * frees it. What was forgotten is freed after the garbage collector found it.
 *
 * <p><b>Errors.</b> A failure of the library is a {@link io.lethe.LetheException} with its {@link
 * io.lethe.Status}; any call may throw one with {@link io.lethe.Status#INVALID_ARGUMENT}, {@link
 * io.lethe.Status#OUT_OF_MEMORY} or {@link io.lethe.Status#INTERNAL}, further codes stand with each
 * method. Arguments that Java can judge end as {@link java.lang.NullPointerException} or {@link
 * java.lang.IllegalArgumentException}, before native code sees them: null where it is not allowed,
 * text with U+0000 or half a surrogate pair, an empty array, a shape that does not fit its array.
 *
 * <p><b>Conventions.</b> Tensors are row-major, images are N,C,H,W, accuracies are in percent. JSON
 * results are text. Paths belong to the default file system.
 */
package io.lethe;
