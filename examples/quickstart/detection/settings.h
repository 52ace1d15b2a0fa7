/* Every number that shapes a run on detection, in one place. `--help` prints them. */
#ifndef QUICKSTART_DETECTION_SETTINGS_H_
#define QUICKSTART_DETECTION_SETTINGS_H_

/* The scenes that examples/data/scenes.py composes, and the detector that was trained on them. */
#ifndef SCENES_FOLDER
#define SCENES_FOLDER ".data/scenes"
#endif
#define DEFAULT_MODEL QUICKSTART_FOLDER "/scenes_detr.safetensors"

/* The tasks draw from the first so many train scenes; a tenth of those gates them. The division
 * does not depend on --seed. */
#define TRAIN_SCENES 1500
#define VALIDATION_PART 0.1
#define SPLIT_SEED 1337

/* The requests, and what differs from Lethe's defaults for the method and a detector. */
#define DEFAULT_FORGET "Trouser,Bag/Sandal,Dress/Ankle boot,Pullover"
#define DEFAULT_SEED 1337
#define TASK_SETTINGS                                                            \
  "{\"max_steps\":420,\"data_ratio\":1,\"forget_batch\":16,\"retain_batch\":32," \
  "\"learning_rate\":0.01,\"min_learning_rate\":1e-5,\"lora_alpha\":8,"          \
  "\"gradient_clip\":1,\"forget_weight\":0.06,"                                  \
  "\"grouping\":\"lora\",\"sparsity\":\"proximal\",\"proximal_weight\":14,"      \
  "\"structure_start_epoch\":8,\"average_start_epoch\":20}"
/* The gate, on scenes held out: AP_f in percent, and the part of the pre-trained model's AP_r. */
#define GATE_MAX_AP_F 3.0
#define GATE_KEPT 0.92

/* The first test scenes: their detections are kept for the restart and the roll-back, and the
 * report shows some of them, with boxes from this score on, of several in one place the best. */
#define PROBE_SCENES 200
#define PROBE_BOXES 100
#define SHOWN_SCORE 0.3
#define SAME_PLACE 0.7
#define SHOWN_SCENES 4 /* of each task, and of what is kept */

#endif /* QUICKSTART_DETECTION_SETTINGS_H_ */
