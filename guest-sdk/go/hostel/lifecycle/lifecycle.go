// Package lifecycle is for handlers that prepare themselves. A component that imports it exports the contract's
// lifecycle, and one that does not does not.
package lifecycle

var registered func() error

// Init names the function that the host calls once for each version of the handler, before the first event reaches it.
// An error refuses the deployment. Call Init in func init.
//
// Each event has a fresh instance by default, so what it leaves in memory is gone by then: use it to check config.
func Init(prepare func() error) { registered = prepare }
