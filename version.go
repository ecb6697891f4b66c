package dlmanager

// Version is the version of the library and of the command, and part of the
// default User-Agent.
const Version = "0.1.0"
