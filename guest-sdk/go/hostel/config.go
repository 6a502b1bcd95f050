package hostel

import (
	"fmt"

	"hostel.dev/go/internal/host"
)

// ConfigError is why a config value could not be had. It has the event attempted again: once the operator has set it,
// the event is handled.
type ConfigError struct {
	Key string
	// Reason is why the host could not tell; "" if the key is not set.
	Reason string
}

// Config is the config value of a key that must be set, under [config] of the manifest or by the operator.
func Config(key string) (string, error) {
	value, ok, err := LookupConfig(key)
	if err == nil && !ok {
		err = &ConfigError{Key: key}
	}
	return value, err
}

// LookupConfig is the config value of a key, and whether it is set.
func LookupConfig(key string) (string, bool, error) {
	value, ok, err := host.Config(key)
	if err != nil {
		return "", false, &ConfigError{key, err.Error()}
	}
	return value, ok, nil
}

func (e *ConfigError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("config key `%s` is not set; set it under `[config]` in the handler's manifest", e.Key)
	}
	return fmt.Sprintf("cannot read config key `%s`: %s", e.Key, e.Reason)
}
