//go:build !unix

package fanout

import "time"

// cpuTime says that the CPU time is not known: how late passes are has to be enough.
func cpuTime() time.Duration { return 0 }
