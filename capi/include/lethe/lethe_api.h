/* The functions of lethe.h as a table, for hosts that load liblethe with dlopen:
 *
 *     get_api = (lethe_get_api_function)dlsym(library, "lethe_get_api");
 *     const lethe_api_v1* lethe = get_api(1);
 *     if (!lethe || lethe->abi < LETHE_ABI_VERSION) return too_old();
 *     puts(lethe->version_string());
 *
 * The table only grows at its end: a function may be used when `abi` is at least that of its "since".
 * Written by capi/api_table.py from capi/symbols.txt and lethe.h. */
#ifndef LETHE_LETHE_API_H_
#define LETHE_LETHE_API_H_

#include <lethe/lethe.h>

struct lethe_api_v1 {
  size_t struct_size; /**< of this table in the loaded library */
  uint32_t abi;       /**< of the loaded library, as lethe_abi_version() */
  uint32_t reserved;
  uint32_t (*abi_version)(void);
  const char* (*version_string)(void);
  const char* (*status_name)(lethe_status status);
  const char* (*last_error)(void);
  lethe_status (*last_error_code)(void);
  void (*last_error_clear)(void);
  const void* (*buffer_data)(const lethe_buffer* buffer);
  size_t (*buffer_size)(const lethe_buffer* buffer);
  lethe_status (*buffer_copy)(const lethe_buffer* buffer, void* data, size_t size);
  void (*buffer_free)(lethe_buffer* buffer);
  lethe_status (*runtime_options_init)(lethe_runtime_options* options, size_t size);
  lethe_status (*runtime_create)(const lethe_runtime_options* options, lethe_runtime** out_runtime);
  void (*runtime_free)(lethe_runtime* runtime);
  lethe_status (*runtime_set_log)(lethe_runtime* runtime, lethe_log_level level,
      lethe_log_callback callback, void* user_data);
  lethe_status (*build_info_json)(lethe_buffer** out_json);
  lethe_status (*runtime_device_count)(lethe_runtime* runtime, int32_t* out_count);
  int32_t (*arch_count)(void);
  const char* (*arch_name)(int32_t index);
  lethe_status (*arch_default_spec)(const char* arch, lethe_buffer** out_json);
  lethe_status (*model_create)(lethe_runtime* runtime, const char* spec_json, const char* device,
      lethe_model** out_model);
  lethe_status (*limits_init)(lethe_limits* limits, size_t size);
  lethe_status (*model_load_weights)(lethe_model* model, const char* path,
      const lethe_limits* limits);
  lethe_status (*model_load_weights_memory)(lethe_model* model, const uint8_t* data, size_t size,
      const lethe_limits* limits);
  void (*model_free)(lethe_model* model);
  lethe_status (*model_clone)(const lethe_model* model, lethe_model** out_model);
  lethe_status (*model_info_json)(const lethe_model* model, lethe_buffer** out_json);
  lethe_status (*model_fingerprint)(const lethe_model* model, uint8_t* out_base,
      uint8_t* out_state);
  int32_t (*model_tensor_count)(const lethe_model* model);
  lethe_status (*model_tensor_info)(const lethe_model* model, int32_t index,
      lethe_tensor_info* out_info);
  lethe_status (*model_tensor_read)(const lethe_model* model, const char* name, int32_t merged,
      float* data, size_t count);
  lethe_status (*export_options_init)(lethe_export_options* options, size_t size);
  lethe_status (*model_export_merged)(const lethe_model* model, const char* path,
      const lethe_export_options* options);
  lethe_status (*dataset_from_tensors)(lethe_runtime* runtime, const lethe_tensor_view* images,
      const lethe_tensor_view* labels, int64_t class_count, const char* transform_json,
      lethe_dataset** out_dataset);
  lethe_status (*dataset_from_idx)(lethe_runtime* runtime, const char* images_path,
      const char* labels_path, int64_t class_count, const char* transform_json,
      lethe_dataset** out_dataset);
  lethe_status (*dataset_from_image_folder)(lethe_runtime* runtime, const char* path,
      const char* transform_json, lethe_dataset** out_dataset);
  lethe_status (*dataset_select)(const lethe_dataset* dataset, lethe_select what,
      const int64_t* values, size_t count, int64_t few_shot, int64_t seed,
      lethe_dataset** out_dataset);
  lethe_status (*dataset_split)(const lethe_dataset* dataset, double fraction, int64_t seed,
      lethe_dataset** out_first, lethe_dataset** out_second);
  int64_t (*dataset_size)(const lethe_dataset* dataset);
  lethe_status (*dataset_sample)(const lethe_dataset* dataset, int64_t index,
      lethe_buffer** out_image, int64_t* out_label);
  lethe_status (*dataset_info_json)(const lethe_dataset* dataset, lethe_buffer** out_json);
  void (*dataset_free)(lethe_dataset* dataset);
  lethe_status (*forget_config_init)(lethe_forget_config* config, size_t size, lethe_method method,
      lethe_head head);
  lethe_status (*forget_config_from_json)(const char* json, lethe_forget_config* config);
  lethe_status (*forget_config_to_json)(const lethe_forget_config* config, lethe_buffer** out_json);
  lethe_status (*forget_config_validate)(const lethe_forget_config* config,
      lethe_buffer** out_findings);
  lethe_status (*method_info_json)(lethe_buffer** out_json);
  lethe_status (*pretrain_config_init)(lethe_pretrain_config* config, size_t size);
  lethe_status (*engine_options_init)(lethe_engine_options* options, size_t size);
  lethe_status (*engine_create)(lethe_model* model, const lethe_engine_options* options,
      lethe_engine** out_engine);
  lethe_status (*engine_enqueue)(lethe_engine* engine, const char* request_id,
      const int64_t* classes, size_t class_count, const lethe_forget_config* config,
      const lethe_dataset* forget_set, const lethe_dataset* retain_set,
      const lethe_dataset* validation_set, lethe_job** out_job);
  lethe_status (*engine_enqueue_pretraining)(lethe_engine* engine, const char* request_id,
      const lethe_pretrain_config* config, const lethe_dataset* train_set,
      const lethe_dataset* validation_set, lethe_job** out_job);
  lethe_status (*engine_next_event)(lethe_engine* engine, int64_t timeout_ms,
      lethe_event* out_event);
  lethe_status (*engine_wait_idle)(lethe_engine* engine, int64_t timeout_ms);
  int32_t (*engine_job_count)(const lethe_engine* engine);
  lethe_status (*engine_job_at)(const lethe_engine* engine, int32_t index, lethe_job** out_job);
  lethe_status (*engine_job_find)(const lethe_engine* engine, const char* request_id,
      lethe_job** out_job);
  lethe_status (*engine_close)(lethe_engine* engine, int64_t timeout_ms);
  void (*engine_free)(lethe_engine* engine);
  lethe_status (*job_status)(const lethe_job* job, lethe_job_status_info* out_info);
  const char* (*job_request_id)(const lethe_job* job);
  lethe_status (*job_wait)(const lethe_job* job, int64_t timeout_ms);
  lethe_status (*job_cancel)(lethe_job* job);
  const char* (*job_error)(const lethe_job* job);
  lethe_status (*job_result)(const lethe_job* job, lethe_adapter** out_adapter,
      lethe_report** out_report);
  void (*job_free)(lethe_job* job);
  lethe_status (*model_predict)(const lethe_model* model, const lethe_tensor_view* images,
      int32_t threads, lethe_buffer** out_logits);
  lethe_status (*model_embed)(const lethe_model* model, const lethe_tensor_view* images,
      int32_t threads, lethe_buffer** out_embeddings);
  lethe_status (*model_predict_dataset)(const lethe_model* model, const lethe_dataset* dataset,
      int32_t threads, lethe_buffer** out_logits);
  lethe_status (*evaluate_options_init)(lethe_evaluate_options* options, size_t size);
  lethe_status (*model_evaluate)(const lethe_model* model, const lethe_dataset* dataset,
      const lethe_evaluate_options* options, lethe_report** out_report);
  int32_t (*model_adapter_count)(const lethe_model* model);
  lethe_status (*model_adapter_at)(const lethe_model* model, int32_t index,
      lethe_adapter** out_adapter);
  lethe_status (*model_adapter_find)(const lethe_model* model, const char* request_id,
      lethe_adapter** out_adapter);
  lethe_status (*adapter_info_json)(const lethe_adapter* adapter, lethe_buffer** out_json);
  lethe_status (*adapter_export)(const lethe_adapter* adapter, const char* path,
      const lethe_export_options* options);
  lethe_status (*adapter_export_memory)(const lethe_adapter* adapter,
      const lethe_export_options* options, lethe_buffer** out_bytes);
  lethe_status (*adapter_load)(lethe_runtime* runtime, const char* path, const lethe_limits* limits,
      lethe_adapter** out_adapter);
  lethe_status (*adapter_load_memory)(lethe_runtime* runtime, const uint8_t* data, size_t size,
      const lethe_limits* limits, lethe_adapter** out_adapter);
  void (*adapter_free)(lethe_adapter* adapter);
  lethe_status (*model_attach)(lethe_model* model, const lethe_adapter* adapter);
  lethe_status (*model_set_adapters)(lethe_model* model, const lethe_adapter* const* adapters,
      const double* scales, size_t count, int32_t flags);
  lethe_status (*model_rollback_to)(lethe_model* model, const char* request_id);
  lethe_status (*report_json)(const lethe_report* report, lethe_buffer** out_json);
  int32_t (*report_metric_count)(const lethe_report* report);
  const char* (*report_metric_name)(const lethe_report* report, int32_t index);
  lethe_status (*report_metric)(const lethe_report* report, const char* name, double* out_value);
  void (*report_free)(lethe_report* report);
  lethe_status (*task_options_init)(lethe_task_options* options, size_t size);
  lethe_status (*engine_enqueue_with)(lethe_engine* engine, const char* request_id,
      const int64_t* classes, size_t class_count, const lethe_forget_config* config,
      const lethe_dataset* forget_set, const lethe_dataset* retain_set,
      const lethe_dataset* validation_set, const lethe_task_options* options, lethe_job** out_job);
  lethe_status (*engine_pause)(lethe_engine* engine);
  lethe_status (*engine_resume)(lethe_engine* engine);
  lethe_status (*engine_bind_dataset)(lethe_engine* engine, const lethe_dataset* dataset,
      int32_t* out_jobs);
  int32_t (*engine_receipt_count)(const lethe_engine* engine);
  lethe_status (*engine_receipt)(const lethe_engine* engine, const char* request_id,
      lethe_buffer** out_line);
  lethe_status (*engine_receipts)(const lethe_engine* engine, lethe_buffer** out_lines);
  lethe_status (*engine_public_key)(const lethe_engine* engine, uint8_t* out_key);
  lethe_status (*receipts_verify)(const uint8_t* data, size_t size, const uint8_t* public_key,
      lethe_buffer** out_findings);
  lethe_status (*journal_info_json)(const char* folder, lethe_buffer** out_json);
  lethe_status (*journal_receipts)(const char* folder, lethe_buffer** out_lines);
  lethe_status (*model_merge)(const lethe_model* model, lethe_model** out_model);
  lethe_status (*model_seal)(lethe_model* model);
  lethe_status (*adapter_verify)(const char* path, const lethe_limits* limits,
      lethe_buffer** out_findings);
  lethe_status (*adapter_export_peft)(const lethe_adapter* adapter, const char* folder,
      const lethe_export_options* options);
  lethe_status (*adapter_import_peft)(const lethe_model* model, const char* folder,
      const char* request_id, const int64_t* classes, size_t class_count,
      const lethe_limits* limits, lethe_adapter** out_adapter);
  lethe_status (*model_enable)(lethe_model* model, const char* request_id, int32_t enabled,
      int32_t flags);
  lethe_status (*model_detach)(lethe_model* model, const char* request_id, int32_t flags);
  lethe_status (*dataset_from_coco)(lethe_runtime* runtime, const char* annotations_path,
      const char* image_folder, lethe_dataset** out_dataset);
  lethe_status (*dataset_from_voc)(lethe_runtime* runtime, const char* annotations_folder,
      const char* image_folder, const char* class_names_json, lethe_dataset** out_dataset);
  lethe_status (*dataset_from_boxes)(lethe_runtime* runtime, const lethe_tensor_view* images,
      const lethe_tensor_view* boxes, const lethe_tensor_view* labels,
      const lethe_tensor_view* image_of, int64_t class_count, lethe_dataset** out_dataset);
  lethe_status (*dataset_image)(const lethe_dataset* dataset, int64_t index,
      lethe_buffer** out_image, int64_t* out_height, int64_t* out_width);
  lethe_status (*dataset_objects)(const lethe_dataset* dataset, int64_t index,
      lethe_buffer** out_objects);
  lethe_status (*dataset_drop_objects)(const lethe_dataset* dataset, double share, int64_t seed,
      lethe_dataset** out_dataset);
  lethe_status (*model_detect)(const lethe_model* model, const lethe_tensor_view* images,
      int32_t most, int32_t threads, lethe_buffer** out_detections);
  lethe_status (*model_detect_dataset)(const lethe_model* model, const lethe_dataset* dataset,
      int32_t most, int32_t threads, lethe_buffer** out_detections);
  lethe_status (*dataset_from_coco_ids)(lethe_runtime* runtime, const char* annotations_path,
      const char* image_folder, lethe_dataset** out_dataset);
};

/** Every function of the table, in its order. */
#define LETHE_API_FUNCTIONS(X) \
  X(abi_version) \
  X(version_string) \
  X(status_name) \
  X(last_error) \
  X(last_error_code) \
  X(last_error_clear) \
  X(buffer_data) \
  X(buffer_size) \
  X(buffer_copy) \
  X(buffer_free) \
  X(runtime_options_init) \
  X(runtime_create) \
  X(runtime_free) \
  X(runtime_set_log) \
  X(build_info_json) \
  X(runtime_device_count) \
  X(arch_count) \
  X(arch_name) \
  X(arch_default_spec) \
  X(model_create) \
  X(limits_init) \
  X(model_load_weights) \
  X(model_load_weights_memory) \
  X(model_free) \
  X(model_clone) \
  X(model_info_json) \
  X(model_fingerprint) \
  X(model_tensor_count) \
  X(model_tensor_info) \
  X(model_tensor_read) \
  X(export_options_init) \
  X(model_export_merged) \
  X(dataset_from_tensors) \
  X(dataset_from_idx) \
  X(dataset_from_image_folder) \
  X(dataset_select) \
  X(dataset_split) \
  X(dataset_size) \
  X(dataset_sample) \
  X(dataset_info_json) \
  X(dataset_free) \
  X(forget_config_init) \
  X(forget_config_from_json) \
  X(forget_config_to_json) \
  X(forget_config_validate) \
  X(method_info_json) \
  X(pretrain_config_init) \
  X(engine_options_init) \
  X(engine_create) \
  X(engine_enqueue) \
  X(engine_enqueue_pretraining) \
  X(engine_next_event) \
  X(engine_wait_idle) \
  X(engine_job_count) \
  X(engine_job_at) \
  X(engine_job_find) \
  X(engine_close) \
  X(engine_free) \
  X(job_status) \
  X(job_request_id) \
  X(job_wait) \
  X(job_cancel) \
  X(job_error) \
  X(job_result) \
  X(job_free) \
  X(model_predict) \
  X(model_embed) \
  X(model_predict_dataset) \
  X(evaluate_options_init) \
  X(model_evaluate) \
  X(model_adapter_count) \
  X(model_adapter_at) \
  X(model_adapter_find) \
  X(adapter_info_json) \
  X(adapter_export) \
  X(adapter_export_memory) \
  X(adapter_load) \
  X(adapter_load_memory) \
  X(adapter_free) \
  X(model_attach) \
  X(model_set_adapters) \
  X(model_rollback_to) \
  X(report_json) \
  X(report_metric_count) \
  X(report_metric_name) \
  X(report_metric) \
  X(report_free) \
  X(task_options_init) \
  X(engine_enqueue_with) \
  X(engine_pause) \
  X(engine_resume) \
  X(engine_bind_dataset) \
  X(engine_receipt_count) \
  X(engine_receipt) \
  X(engine_receipts) \
  X(engine_public_key) \
  X(receipts_verify) \
  X(journal_info_json) \
  X(journal_receipts) \
  X(model_merge) \
  X(model_seal) \
  X(adapter_verify) \
  X(adapter_export_peft) \
  X(adapter_import_peft) \
  X(model_enable) \
  X(model_detach) \
  X(dataset_from_coco) \
  X(dataset_from_voc) \
  X(dataset_from_boxes) \
  X(dataset_image) \
  X(dataset_objects) \
  X(dataset_drop_objects) \
  X(model_detect) \
  X(model_detect_dataset) \
  X(dataset_from_coco_ids)

#endif /* LETHE_LETHE_API_H_ */
