/* Every number that shapes a run, in one place. `quickstart --help` prints them. */
#ifndef QUICKSTART_SETTINGS_H_
#define QUICKSTART_SETTINGS_H_

/* The images: Debian package dataset-fashion-mnist. */
#define FASHION_FOLDER "/usr/share/datasets/fashion-mnist"
#define FASHION_CLASSES 10
#define PIXEL_MEAN 0.2860
#define PIXEL_STD 0.3530
#define VALUE_STEPS "\"mean\":[0.2860],\"std\":[0.3530]"
/* What makes any photo fit the model: a grey square of IMAGE_SIDE pixels. */
#define IMAGE_SIDE 28
#define SHAPE_STEPS "\"resize\":28,\"center_crop\":28,\"channels\":1"

/* A tenth of the training images gates the tasks. The division does not depend on --seed, so that
 * the committed model has never seen the gate's images. */
#define VALIDATION_PART 0.1
#define SPLIT_SEED 1337

/* The requests, and what differs from Lethe's defaults for the method and a linear head. */
#define DEFAULT_FORGET "1,2/5,7/8,9"
#define DEFAULT_SEED 1337
#define TASK_SETTINGS \
  "{\"max_steps\":400,\"data_ratio\":0.2,\"sparsity\":\"proximal\",\"proximal_weight\":13}"

/* Test images of each class whose scores are kept for the restart and the roll-back. */
#define PROBES_PER_CLASS 50

/* The recipe of fashion_vit.safetensors; `--pretrain` follows it: one cosine run, then a warm
 * restart at a lower rate, whose seed is the next one. 90.66 % of the test images come out right.
 */
#define PRETRAIN_EPOCHS 14
#define PRETRAIN_RESTART_EPOCHS 6
#define PRETRAIN_RESTART_LEARNING_RATE 8e-4
#define PRETRAIN_WARMUP_EPOCHS 1
#define PRETRAIN_BATCH 128
#define PRETRAIN_LEARNING_RATE 1.5e-3
#define PRETRAIN_WEIGHT_DECAY 0.05
#define PRETRAIN_LABEL_SMOOTHING 0.0
#define PRETRAIN_FLIP 1
#define PRETRAIN_SHIFT 1
#define PRETRAIN_ERASE 0.0
#define PRETRAIN_AVERAGE_DECAY 0.998

#endif /* QUICKSTART_SETTINGS_H_ */
