package lethe_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"lethe"
)

func TestDefaultsAreTheLibrarys(t *testing.T) {
	for _, head := range []lethe.Head{lethe.HeadLinear, lethe.HeadCosFace, lethe.HeadArcFace,
		lethe.HeadDetection} {
		config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.GSLoRAPP, head))
		before := must[string](t)(config.ToJSON())
		ok(t, config.FromJSON("{}"))
		if after := must[string](t)(config.ToJSON()); after != before {
			t.Errorf("%s became %s", before, after)
		}
		if findings := must[string](t)(config.Validate()); findings != "[]" {
			t.Errorf("findings %s", findings)
		}
	}
	config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear))
	if config.Rank != 8 || config.Epochs != 100 || config.ForgetBound != 15 || config.Seed != 1337 ||
		config.Fast != lethe.FastAll || config.GateMaxAccF != 5 || config.Grouping != lethe.GroupBlock ||
		config.PrefixCacheBytes != 1<<30 || config.PrototypeForgetWeight != 0.01 {
		t.Errorf("defaults %+v", config)
	}
	for head, want := range map[lethe.Head]float64{lethe.HeadLinear: 3, lethe.HeadCosFace: 10} {
		config = must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.EWC, head))
		if config.Method != lethe.EWC || config.PenaltyWeight != want ||
			config.Audits != lethe.AuditMembership || config.Form != lethe.FormCorrected {
			t.Errorf("defaults %+v", config)
		}
	}
	config = must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.GSLoRA, lethe.HeadDetection))
	if config.GradientClip != 0.1 || config.Audits != 0 || config.Epochs != 30 {
		t.Errorf("defaults %+v", config)
	}
	pretrain := must[lethe.PretrainConfig](t)(lethe.DefaultPretrainConfig())
	if pretrain.Epochs != 30 || pretrain.Batch != 128 || pretrain.Flip || pretrain.Dropout >= 0 {
		t.Errorf("defaults %+v", pretrain)
	}
	limits := must[lethe.Limits](t)(lethe.DefaultLimits())
	if limits.MaxTensors != 16384 || limits.MaxFileBytes != 2<<30 || limits.MaxExpansion != 1000 {
		t.Errorf("defaults %+v", limits)
	}
	export := must[lethe.ExportOptions](t)(lethe.DefaultExportOptions())
	if export.DType != lethe.F32 || export.Level != 3 || export.Naming != lethe.NamesOriginal {
		t.Errorf("defaults %+v", export)
	}
	if task := must[lethe.TaskOptions](t)(lethe.DefaultTaskOptions()); task != (lethe.TaskOptions{}) {
		t.Errorf("defaults %+v", task)
	}
}

// The words of the library are those of String.
func TestMethods(t *testing.T) {
	var info struct {
		Methods []struct {
			Name   string
			Number lethe.Method
		}
	}
	ok(t, json.Unmarshal([]byte(must[string](t)(lethe.MethodInfoJSON())), &info))
	if len(info.Methods) != int(lethe.SalUn) {
		t.Errorf("%d methods", len(info.Methods))
	}
	for i, method := range info.Methods {
		if method.Number != lethe.Method(i+1) || method.Number.String() != method.Name {
			t.Errorf("%v is %+v", method.Number, method)
		}
	}
}

// Every field arrives in C and comes back.
func TestEveryField(t *testing.T) {
	config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.EWC, lethe.HeadLinear))
	fields := map[string]any{}
	ok(t, json.Unmarshal([]byte(must[string](t)(config.ToJSON())), &fields))
	if len(fields) != reflect.TypeOf(config).NumField() {
		t.Errorf("%d fields, and in Go %d", len(fields), reflect.TypeOf(config).NumField())
	}
	changed := `{"method":"der++","rank":4,"grouping":"matrix","lora_alpha":2,` +
		`"lora_init":"kaiming",` +
		`"epochs":7,"warmup_epochs":1,"forget_batch":5,"retain_batch":6,"few_shot":3,"max_steps":9,` +
		`"learning_rate":0.5,"min_learning_rate":0.25,"weight_decay":0.125,"data_ratio":0.75,` +
		`"dropout":0.5,"forget_bound":3,"forget_weight":0.5,"structure_weight":0.25,` +
		`"structure_start_epoch":2,"sparsity":"proximal","proximal_weight":13,"zero_threshold":0.5,` +
		`"prototype_forget_weight":0.5,"prototype_retain_weight":0.25,"prototype_bound":9,` +
		`"prototype_source":"random-network","average_start_epoch":3,"average_decay":0.5,` +
		`"gate_max_acc_f":50,"gate_max_acc_r_drop":40,"seed":99,"prefix_cache_bytes":1048576,` +
		`"progress_interval":4,"form":"reference","lora_position":"attention","first_block":1,` +
		`"structure_search":"sparsest","audits":12,"penalty_weight":1.5,"distillation_weight":2.5,` +
		`"replay_weight":3.5,"temperature":4.5,"smoothing":5.5,` +
		`"gradient_clip":6.5,"augment":true}`
	ok(t, config.FromJSON(changed))
	after := map[string]any{}
	ok(t, json.Unmarshal([]byte(must[string](t)(config.ToJSON())), &after))
	want := map[string]any{}
	ok(t, json.Unmarshal([]byte(changed), &want))
	for name, value := range want {
		if after[name] != value {
			t.Errorf("%s is %v, not %v", name, after[name], value)
		}
	}
	for name := range fields {
		if _, known := want[name]; !known && name != "fast" {
			t.Errorf("%s was not tried", name)
		}
	}
	if config.Sparsity != lethe.Proximal || config.LoRAInit != lethe.InitKaiming || config.Rank != 4 ||
		config.PrototypeSource != lethe.PrototypeRandomNetwork || config.Grouping != lethe.GroupMatrix ||
		config.Method != lethe.DERPP || config.Form != lethe.FormReference || config.FirstBlock != 1 ||
		config.LoRAPosition != lethe.LoRAAttention || config.StructureSearch != lethe.SearchSparsest ||
		config.Audits != lethe.AuditProbe|lethe.AuditRelearning || config.PenaltyWeight != 1.5 ||
		config.DistillationWeight != 2.5 || config.ReplayWeight != 3.5 || config.Temperature != 4.5 ||
		config.Smoothing != 5.5 || config.GradientClip != 6.5 ||
		!config.Augment {
		t.Errorf("config %+v", config)
	}
	before := config
	fails(t, lethe.ErrInvalidArgument, config.FromJSON(`{"rank":0}`))
	fails(t, lethe.ErrInvalidArgument, config.FromJSON(`{"no_such_field":1}`))
	if config != before {
		t.Error("a refused text changed the config")
	}
	config.Rank = 0
	findings, err := config.Validate()
	fails(t, lethe.ErrInvalidArgument, err)
	if !strings.Contains(findings, `"rank"`) {
		t.Errorf("findings %s", findings)
	}
}
