package io.lethe;

/**
 * What a model shall forget, and from which data it learns that. Immutable: each method returns a
 * changed copy.
 *
 * <pre>{@code
 * ForgetTask.of(train, 1, 2).requestId("customer-81").validationSet(validation)
 * }</pre>
 */
public final class ForgetTask {
  final long[] classes;
  final Dataset forgetSet;
  final String requestId;
  final ForgetConfig config;
  final Dataset retainSet;
  final Dataset validationSet;
  final TaskOptions options;

  private ForgetTask(long[] classes, Dataset forgetSet, String requestId, ForgetConfig config,
      Dataset retainSet, Dataset validationSet, TaskOptions options) {
    this.classes = classes;
    this.forgetSet = forgetSet;
    this.requestId = requestId;
    this.config = config;
    this.retainSet = retainSet;
    this.validationSet = validationSet;
    this.options = options;
  }

  /**
   * A task with the defaults of GS-LoRA++ for the model's head, a request id of its own and no
   * validation set.
   *
   * @param forgetSet training samples; without a retain set it holds both kinds and is divided by
   *     the classes
   * @param classes what to forget: ids of the model's head, each once
   * @return a new task
   */
  public static ForgetTask of(Dataset forgetSet, long... classes) {
    return new ForgetTask(Check.filled(classes, "classes").clone(),
        Check.present(forgetSet, "forgetSet"), null, null, null, null, null);
  }

  /**
   * Names the request; the adapter bears the name.
   *
   * @param requestId 1..128 bytes of UTF-8; null: one is made
   * @return a changed copy
   */
  public ForgetTask requestId(String requestId) {
    return new ForgetTask(classes, forgetSet, requestId, config, retainSet, validationSet, options);
  }

  /**
   * Settings of the training.
   *
   * @param config null: the defaults of GS-LoRA++ for the model's head
   * @return a changed copy
   */
  public ForgetTask config(ForgetConfig config) {
    return new ForgetTask(classes, forgetSet, requestId, config, retainSet, validationSet, options);
  }

  /**
   * Training samples of what stays, apart from those of what goes.
   *
   * @param retainSet null: the forget set holds both
   * @return a changed copy
   */
  public ForgetTask retainSet(Dataset retainSet) {
    return new ForgetTask(classes, forgetSet, requestId, config, retainSet, validationSet, options);
  }

  /**
   * Held-out samples of all classes, for the quality gate and the report.
   *
   * @param validationSet null: both use the training samples
   * @return a changed copy
   */
  public ForgetTask validationSet(Dataset validationSet) {
    return new ForgetTask(classes, forgetSet, requestId, config, retainSet, validationSet, options);
  }

  /**
   * When the task runs, and how long it may. Not part of what a request id stands for: repeated
   * with others, the job keeps those it has.
   *
   * @param options null: the defaults
   * @return a changed copy
   */
  public ForgetTask options(TaskOptions options) {
    return new ForgetTask(classes, forgetSet, requestId, config, retainSet, validationSet, options);
  }
}
