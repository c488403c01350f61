//go:build unix

package live

import "syscall"

// mapMemory gets memory from the system; false if it gives none.
func mapMemory(size int) ([]byte, bool) {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	return b, err == nil
}

// unmapMemory gives it back.
func unmapMemory(b []byte) { _ = syscall.Munmap(b) }
