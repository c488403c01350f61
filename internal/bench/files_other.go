//go:build !unix

package bench

// allowFiles does nothing where nobody counts open files.
func allowFiles(uint64) error { return nil }
