// Package packaging holds what a release is made of besides the program: units of systemd,
// the Debian package, the image, the dashboard and the alerts. Its tests make the package
// and use it as an operator does. Making it: scripts/deb.
//
// Beside the floors.
package packaging
