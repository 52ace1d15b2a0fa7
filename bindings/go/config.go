package lethe

import "lethe/internal/native"

// DefaultForgetConfig returns the defaults for one method and head: losses scale with the head, so
// they differ. [ErrUnsupported]: unknown method or head.
func DefaultForgetConfig(method Method, head Head) (ForgetConfig, error) {
	if err := ready(); err != nil {
		return ForgetConfig{}, err
	}
	config := native.NewForget_config()
	defer native.DeleteForget_config(config)
	if err := check(native.Forget_config_init(config, int32(method), int32(head))); err != nil {
		return ForgetConfig{}, err
	}
	return forgetConfigOf(config), nil
}

// FromJSON overwrites the fields named in a JSON object, e.g. {"rank":4,"structure_weight":0.004};
// names are those of the C struct (StructureWeight is structure_weight), enumerations are
// lower-case words ("gs-lora++", "block", "proximal"). [ErrInvalidArgument]: unknown field, wrong
// type, out of range; the config is then unchanged.
func (c *ForgetConfig) FromJSON(json string) error {
	settings, err := text("json", json)
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	config := c.toNative()
	defer native.DeleteForget_config(config)
	if err := check(native.Forget_config_from_json(settings, config)); err != nil {
		return err
	}
	*c = forgetConfigOf(config)
	return nil
}

// ToJSON returns all settings as canonical JSON: sorted keys, equal settings give equal text.
func (c *ForgetConfig) ToJSON() (string, error) {
	config := c.toNative()
	defer native.DeleteForget_config(config)
	return libraryText(func(out *uintptr) native.Status {
		return native.Forget_config_to_json(config, out)
	})
}

// Validate checks every field. Findings are a JSON list of {field, value, allowed}; empty when all
// is well. [ErrInvalidArgument]: at least one finding; the list comes with it.
func (c *ForgetConfig) Validate() (findings string, err error) {
	config := c.toNative()
	defer native.DeleteForget_config(config)
	return libraryText(func(out *uintptr) native.Status {
		return native.Forget_config_validate(config, out)
	})
}
