package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"souk/store/sealed"
)

// askedOnTerminal names, in the environment, what the process that TestTerminal
// starts is to do: "once" or "confirm".
const askedOnTerminal = "SOUK_ASKED_ON_TERMINAL"

func TestMain(m *testing.M) {
	if how := os.Getenv(askedOnTerminal); how != "" {
		answerOnTerminal(how)
		return
	}
	os.Exit(m.Run())
}

// answerOnTerminal asks its terminal and prints the error or what it got,
// reversed, so that the test can tell it from an echo.
func answerOnTerminal(how string) {
	pass := sealed.FromTerminal("Passphrase: ", how == "confirm")
	for range 2 { // it asks once only
		got, err := pass()
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
		fmt.Printf("got: %s\n", got)
	}
}

func TestTerminal(t *testing.T) {
	reversed := "elpats-yrettab"
	for _, c := range []struct {
		name, how string
		typed     []string
		want      []string
	}{
		{"once", "once", []string{phrase}, []string{"got: " + reversed, "got: " + reversed}},
		{"confirmed", "confirm", []string{phrase, phrase}, []string{"Again: ", "got: " + reversed, "got: " + reversed}},
		{"confirmed wrongly", "confirm", []string{phrase, "other"}, []string{"Again: ", "error: " + sealed.ErrDiffer.Error()}},
		{"nothing", "once", []string{""}, []string{"error: " + sealed.ErrEmpty.Error()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown := onTerminal(t, c.how, c.typed)
			for _, want := range append([]string{"Passphrase: "}, c.want...) {
				before, after, ok := strings.Cut(shown, want)
				if !ok {
					t.Fatalf("the terminal does not show %q:\n%s", want, shown)
				}
				shown = before + after
			}
			if strings.Contains(shown, phrase) {
				t.Errorf("the terminal shows what is typed:\n%s", shown)
			}
		})
	}
}

// onTerminal runs this program with a terminal of its own, types lines, each when
// asked, and returns what the terminal shows.
func onTerminal(t *testing.T, how string, lines []string) string {
	t.Helper()
	master, slave := terminal(t)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), askedOnTerminal+"="+how)
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := master.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1024)
	for asked := 0; ; {
		n, err := master.Read(buffer)
		shown.Write(buffer[:n])
		if err != nil { // EIO once the process has ended
			break
		}
		if questions := strings.Count(shown.String(), ": ") - strings.Count(shown.String(), "got: "); questions > asked && asked < len(lines) {
			waitForSilence(t, master)
			if _, err := master.WriteString(lines[asked] + "\n"); err != nil {
				t.Fatal(err)
			}
			asked++
		}
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, shown.String())
	}
	return shown.String()
}

// waitForSilence waits until the terminal shows no more what is typed.
func waitForSilence(t *testing.T, master *os.File) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var state syscall.Termios
		control(t, master, syscall.TCGETS, unsafe.Pointer(&state))
		if state.Lflag&syscall.ECHO == 0 {
			return
		}
	}
	t.Fatal("the terminal goes on showing what is typed")
}

func control(t *testing.T, f *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
	})
	if err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
}

// terminal makes a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	var number, unlocked int32
	control(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	control(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// Without a terminal the error says what to do instead.
func TestNoTerminal(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), askedOnTerminal+"=once")
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), sealed.ErrNoTerminal.Error()) {
		t.Fatalf("%s, %v", out, err)
	}
	if errors.Is(sealed.ErrNoTerminal, sealed.ErrEmpty) || !strings.Contains(sealed.ErrNoTerminal.Error(), "--passphrase-file") {
		t.Error("no advice")
	}
}
