package dlmanager

// usesQuietReads says that a file can be read without being used.
const usesQuietReads = true
