// SPDX-License-Identifier: Apache-2.0
/*
 * Finds out whether KVM really runs a guest here.
 *
 * There are machines where /dev/kvm opens and makes VMs, but interprets each instruction, knows
 * few of them, or hangs. So the probe runs a guest of its own, in a child process: the parent
 * waits until the deadline and no longer, whatever the child's KVM_RUN does. The child tells how
 * far it came in memory that both share, so that a killed one has told as much as another.
 *
 * Speed is judged against this host, by the processor time of one loop that both run: a constant
 * would be wrong on a slow or emulated host.
 */
#include "engine/kvm/probe.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/probe_guest.h"
#include "util/cleanup.h"
#include "util/io.h"

#define KVM_NODE "/dev/kvm"
#define DEADLINE_MS 900u
#define TRIES 2u     /* a busy host may need more than the first deadline, and is warm then */
#define REAP_MS 100u /* for the child to go after SIGKILL; one that does not is left behind */
#define ROUNDS 5u    /* of the loop: a busy host may spoil some */
#define SLOW 40u     /* times the host's own time: no hardware is that slow */

/* The guest's physical memory. */
#define GUEST_SIZE 0x10000u
#define GUEST_PML4 0x1000u
#define GUEST_PDPT 0x2000u
#define GUEST_PD 0x3000u
#define GUEST_STACK 0x8000u /* its top */
#define GUEST_CODE 0x8000u
#define GUEST_SCRATCH 0xa000u

#define CPUID_MAX 256u

/* What the child tells. Its fields are read by the parent after it has ended or was killed. */
struct progress {
	volatile const char *doing; /* the same text in both: the child is a fork */
	volatile int err;           /* errno of what it was doing, 0 for none */
	volatile int step;          /* the last step of the guest */
	volatile uint32_t exit;     /* KVM's exit reason that was not expected, or UINT32_MAX */
	volatile bool wrong;        /* the guest found a result that is wrong */
	volatile bool done;         /* all of it ran */
	volatile uint64_t host_ns;  /* processor time of the loop here */
	volatile uint64_t guest_ns; /* the best in the guest, 0 for none */
};

static uint64_t probe_read_cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Says what comes next, for the case that it fails or does not come back. */
static void probe_note_step(struct progress *p, const char *what)
{
	p->doing = what;
}

static int probe_note_failure(struct progress *p)
{
	p->err = errno ? errno : EINVAL;
	return -1;
}

/* The long mode that a 64-bit kernel has, set up by the host: nothing is loaded by the guest. */
static int probe_set_registers(int vcpu, bool has_xsave, struct progress *p)
{
	struct kvm_segment code = {.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1};
	struct kvm_segment data = {.limit = 0xffffffff,
		.selector = 16,
		.type = 3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1};
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rsp = GUEST_STACK,
		.rsi = GUEST_SCRATCH,
		.rbx = has_xsave,
		.rflags = 2,
	};
	struct kvm_sregs sregs;

	probe_note_step(p, "KVM_GET_SREGS");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return probe_note_failure(p);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = GUEST_PML4;
	sregs.cr4 = 1u << 5 | 1u << 9 | 1u << 10;      /* PAE, OSFXSR, OSXMMEXCPT */
	sregs.cr4 |= has_xsave ? 1u << 18 : 0;         /* OSXSAVE */
	sregs.cr0 = 1u << 31 | 1u << 5 | 1u << 1 | 1u; /* PG, NE, MP, PE */
	sregs.efer = 1u << 10 | 1u << 8;               /* LMA, LME */
	sregs.idt.limit = 0;

	probe_note_step(p, "KVM_SET_SREGS");
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return probe_note_failure(p);
	probe_note_step(p, "KVM_SET_REGS");
	return ioctl(vcpu, KVM_SET_REGS, &regs) < 0 ? probe_note_failure(p) : 0;
}

/* Gives the guest the processor that KVM offers. */
static int probe_set_cpuid(int kvm, int vcpu, bool *has_xsave, struct progress *p)
{
	static union {
		struct kvm_cpuid2 c;
		char room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.c.nent = CPUID_MAX;
	probe_note_step(p, "KVM_GET_SUPPORTED_CPUID");
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return probe_note_failure(p);
	for (uint32_t i = 0; i < cpuid.c.nent && i < CPUID_MAX; i++)
		if (cpuid.c.entries[i].function == 1)
			*has_xsave = cpuid.c.entries[i].ecx & bit_XSAVE;
	probe_note_step(p, "KVM_SET_CPUID2");
	return ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0 ? probe_note_failure(p) : 0;
}

static unsigned char *probe_make_memory(int vm, struct progress *p)
{
	size_t code = (size_t)(arrow_kvm_probe_guest_end - arrow_kvm_probe_guest);
	unsigned char *memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = GUEST_SIZE, .userspace_addr = (uintptr_t)memory};
	const uint64_t table = 3, page = 0x83; /* present, writable; the same, of 2 MiB */

	probe_note_step(p, "mmap");
	if (memory == MAP_FAILED) {
		probe_note_failure(p);
		return NULL;
	}
	*(uint64_t *)(memory + GUEST_PML4) = GUEST_PDPT | table;
	*(uint64_t *)(memory + GUEST_PDPT) = GUEST_PD | table;
	*(uint64_t *)(memory + GUEST_PD) = page;
	memcpy(memory + GUEST_CODE, arrow_kvm_probe_guest, code);

	probe_note_step(p, "KVM_SET_USER_MEMORY_REGION");
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
		probe_note_failure(p);
		return NULL;
	}
	return memory;
}

/* Runs the guest until it halts, and times its loop. */
static int probe_run_guest(int vcpu, struct kvm_run *run, struct progress *p)
{
	unsigned int rounds = 0;
	uint64_t begin = 0, ns;

	probe_note_step(p, "KVM_RUN");
	for (;;) {
		unsigned char *data;

		if (ioctl(vcpu, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return probe_note_failure(p);
		}
		if (run->exit_reason == KVM_EXIT_HLT && p->step == PROBE_DONE) {
			p->done = true;
			return 0;
		}
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != PROBE_PORT) {
			p->exit = run->exit_reason;
			return -1;
		}

		data = (unsigned char *)run + run->io.data_offset;
		if (run->io.direction == KVM_EXIT_IO_IN) {
			*data = ++rounds < ROUNDS && p->guest_ns > SLOW * p->host_ns;
			continue;
		}
		if (*data == PROBE_WRONG) {
			p->wrong = true;
			return -1;
		}
		p->step = *data;
		if (*data == PROBE_LOOP_BEGIN)
			begin = probe_read_cpu_time();
		if (*data != PROBE_LOOP_END)
			continue;
		ns = probe_read_cpu_time() - begin;
		if (p->guest_ns == 0 || ns < p->guest_ns)
			p->guest_ns = ns;
	}
}

/* The child's work, on an open /dev/kvm. What it made goes with its process. */
static int probe_try_kvm(int kvm, struct progress *p)
{
	struct kvm_run *run;
	bool has_xsave = false;
	uint64_t begin;
	int vm, vcpu, size, version;

	/* The first call brings the page in. */
	arrow_kvm_probe_loop(1000);
	begin = probe_read_cpu_time();
	arrow_kvm_probe_loop(PROBE_LOOPS);
	p->host_ns = probe_read_cpu_time() - begin;

	probe_note_step(p, "KVM_GET_API_VERSION");
	version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		errno = version < 0 ? errno : EPROTONOSUPPORT;
		return probe_note_failure(p);
	}
	probe_note_step(p, "KVM_CREATE_VM");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return probe_note_failure(p);
	/* Intel's need room of their own; the others ignore it. */
	probe_note_step(p, "KVM_SET_TSS_ADDR");
	if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0)
		return probe_note_failure(p);
	if (!probe_make_memory(vm, p))
		return -1;
	probe_note_step(p, "KVM_CREATE_VCPU");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return probe_note_failure(p);
	if (probe_set_cpuid(kvm, vcpu, &has_xsave, p) < 0 ||
		probe_set_registers(vcpu, has_xsave, p) < 0)
		return -1;

	probe_note_step(p, "KVM_GET_VCPU_MMAP_SIZE");
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*run))
		return probe_note_failure(p);
	probe_note_step(p, "mmap of the vCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return probe_note_failure(p);
	return probe_run_guest(vcpu, run, p);
}

static void __attribute__((noreturn))
probe_run_child_main(int kvm, pid_t parent, struct progress *p)
{
	sigset_t none;
	int null_fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A child that hangs must not hold the ends of anybody's pipes. */
	null_fd = open("/dev/null", O_RDWR);
	if (null_fd < 0 || dup2(kvm, 3) < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 ||
		dup2(null_fd, 2) < 0)
		_exit(1);
	syscall(SYS_close_range, 4u, ~0u, 0u);
	_exit(probe_try_kvm(3, p) < 0);
}

/* Waits for the end of a child. Returns false when it is still there after ms. */
static bool probe_wait_child(pid_t pid, int pidfd, unsigned int ms)
{
	uint64_t now = now_ms(), end = now + ms;
	struct pollfd ready = {pidfd, POLLIN, 0};

	for (; now < end; now = now_ms()) {
		pid_t r = waitpid(pid, NULL, WNOHANG);

		if (r == pid || (r < 0 && errno == ECHILD))
			return true;
		/* Without a pidfd (Linux before 5.3) this is a sleep. */
		poll(&ready, pidfd >= 0 ? 1 : 0, pidfd >= 0 ? (int)(end - now) : 5);
	}
	return waitpid(pid, NULL, WNOHANG) == pid;
}

static const char *probe_name_exit(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM_EXIT_INTERNAL_ERROR: this KVM interprets instructions";
	case KVM_EXIT_SHUTDOWN:
		return "KVM_EXIT_SHUTDOWN: an exception";
	case KVM_EXIT_FAIL_ENTRY:
		return "KVM_EXIT_FAIL_ENTRY";
	case KVM_EXIT_HLT:
		return "KVM_EXIT_HLT";
	case KVM_EXIT_MMIO:
		return "KVM_EXIT_MMIO";
	default:
		return NULL;
	}
}

/* What the guest does after its last step. */
static const char *probe_name_step(int step)
{
	switch (step) {
	case 0:
		return "its first instruction";
	case PROBE_STARTED:
		return "SSE";
	case PROBE_SSE:
		return "cmpxchg16b";
	case PROBE_CMPXCHG16B:
		return "xsave";
	case PROBE_XSAVE:
	case PROBE_LOOP_END:
		return "rdtsc";
	case PROBE_LOOP_BEGIN:
		return "a loop of arithmetic";
	default:
		return "hlt";
	}
}

static void probe_say(struct arrow_kvm_verdict *v, bool usable, const char *fmt, ...)
	ARROW_PRINTF(3, 4);

static void probe_say(struct arrow_kvm_verdict *v, bool usable, const char *fmt, ...)
{
	va_list ap;

	v->usable = usable;
	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
}

static void probe_suggest(struct arrow_kvm_verdict *v, const char *fmt, ...) ARROW_PRINTF(2, 3);

static void probe_suggest(struct arrow_kvm_verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->mend, sizeof(v->mend), fmt, ap);
	va_end(ap);
}

static void probe_judge(const struct progress *p, bool ended, struct arrow_kvm_verdict *v)
{
	const char *name = probe_name_exit(p->exit);
	double times = p->host_ns ? (double)p->guest_ns / (double)p->host_ns : 0;

	if (p->guest_ns && times > SLOW)
		probe_say(v, false,
			"a guest runs %.0f times slower than this host: this KVM interprets instructions",
			times);
	else if (p->done)
		probe_say(v, true,
			"a guest ran SSE, cmpxchg16b%s and a loop in %.2f times this host's time",
			p->step >= PROBE_XSAVE ? ", xsave" : "", times);
	else if (p->wrong)
		probe_say(
			v, false, "the guest got a wrong result from %s", probe_name_step(p->step));
	else if (p->err)
		probe_say(v, false, "%s failed: %s", (const char *)p->doing, strerror(p->err));
	else if (p->exit != UINT32_MAX && name)
		probe_say(v, false, "the guest stopped at %s (%s)", probe_name_step(p->step), name);
	else if (p->exit != UINT32_MAX)
		probe_say(v, false, "the guest stopped at %s (KVM exit reason %u)",
			probe_name_step(p->step), p->exit);
	else if (ended)
		probe_say(v, false, "the probe's process was killed");
	else if (p->doing && strcmp((const char *)p->doing, "KVM_RUN") != 0)
		probe_say(v, false, "%s did not return within %u ms", (const char *)p->doing,
			DEADLINE_MS);
	else
		probe_say(v, false,
			"the guest was at %s after %u ms: this KVM interprets instructions, or hangs",
			probe_name_step(p->step), DEADLINE_MS);
}

/* Says why /dev/kvm does not open. */
static void probe_judge_open(int err, struct arrow_kvm_verdict *v)
{
	unsigned int eax, ebx, ecx = 0, edx;
	struct stat st;
	const struct group *group;
	const struct passwd *user;

	if (err == EACCES && stat(KVM_NODE, &st) == 0 && (st.st_mode & 060) == 060 &&
		(group = getgrgid(st.st_gid))) {
		user = getpwuid(getuid());
		probe_say(v, false,
			"permission denied: " KVM_NODE
			" belongs to the group %s (log in again once you are a member)",
			group->gr_name);
		probe_suggest(
			v, "sudo usermod -aG %s %s", group->gr_name, user ? user->pw_name : "USER");
	} else if (err == EACCES) {
		probe_say(v, false,
			"permission denied: " KVM_NODE " does not belong to the group kvm");
		probe_suggest(v, "sudo chgrp kvm " KVM_NODE " && sudo chmod 660 " KVM_NODE);
	} else if (err != ENOENT && err != ENODEV && err != ENXIO) {
		probe_say(v, false, "cannot open " KVM_NODE ": %s", strerror(err));
	} else if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 5)) {
		probe_say(v, false, "no " KVM_NODE ": KVM is not loaded");
		probe_suggest(v, "sudo modprobe kvm-intel");
	} else if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 2)) {
		probe_say(v, false, "no " KVM_NODE ": KVM is not loaded");
		probe_suggest(v, "sudo modprobe kvm-amd");
	} else {
		probe_say(v, false,
			"no " KVM_NODE
			", and this processor offers no virtualization: enable it in the firmware, or nested virtualization for a VM");
	}
}

/* Runs the probe once, until the deadline. Returns whether it ended in time, or -errno. */
static int probe_run_child(int kvm, struct progress *p)
{
	_cleanup_close_ int pidfd = -1;
	pid_t pid, self = getpid();

	memset(p, 0, sizeof(*p));
	p->exit = UINT32_MAX;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		probe_run_child_main(kvm, self, p);

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (probe_wait_child(pid, pidfd, DEADLINE_MS))
		return true;
	kill(pid, SIGKILL);
	probe_wait_child(pid, pidfd, REAP_MS);
	return false;
}

/* Returns whether the verdict can be kept: a node that does not open may do so the next time. */
static bool probe_try_host(struct arrow_kvm_verdict *v)
{
	_cleanup_close_ int kvm = open(KVM_NODE, O_RDWR | O_CLOEXEC);
	int ended = -1;

	if (kvm < 0) {
		probe_judge_open(errno, v);
		return false;
	}
	for (unsigned int i = 0; i < TRIES; i++) {
		/* Each try has its own: a child that cannot be killed may yet write to the last. */
		struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		ended = p == MAP_FAILED ? -errno : probe_run_child(kvm, p);
		if (ended < 0)
			probe_say(v, false, "cannot probe " KVM_NODE ": %s", strerror(-ended));
		else
			probe_judge(p, ended, v);
		if (p != MAP_FAILED)
			munmap(p, sizeof(*p));
		if (ended != 0)
			break;
	}
	return ended >= 0;
}

/* The name of the cache file: a verdict holds for one boot and one user. NULL without a boot id. */
static char *probe_find_cache(const char *dir)
{
	_cleanup_free_ char *id = NULL;
	size_t size = 0;

	if (read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &id, &size) < 0)
		return NULL;
	id[strcspn(id, "\n")] = '\0';
	return path_format("%s/kvm-%s-%u", dir, id, (unsigned int)geteuid());
}

/* The file: a line that names its format and the verdict, and a line with the reason. */
static const char *probe_cache_head(bool usable)
{
	return usable ? "arrow-kvm " ARROW_VERSION " usable\n"
		      : "arrow-kvm " ARROW_VERSION " unusable\n";
}

static bool probe_read_cache(const char *path, struct arrow_kvm_verdict *v)
{
	_cleanup_free_ char *data = NULL;
	const char *reason = NULL;
	size_t size = 0, length;

	if (read_file(AT_FDCWD, path, 512, &data, &size) < 0 || strlen(data) != size)
		return false;
	for (int usable = 0; usable < 2 && !reason; usable++) {
		length = strlen(probe_cache_head(usable));
		if (strncmp(data, probe_cache_head(usable), length) == 0) {
			reason = data + length;
			v->usable = usable;
		}
	}
	length = reason ? strcspn(reason, "\n") : 0;
	/* One line, whole, and as long as one can be. */
	if (length == 0 || length >= sizeof(v->reason) || strcmp(reason + length, "\n") != 0)
		return false;
	memcpy(v->reason, reason, length);
	v->reason[length] = '\0';
	return true;
}

void arrow_kvm_probe(const char *cache_dir, struct arrow_kvm_verdict *verdict)
{
	_cleanup_free_ char *path = cache_dir ? probe_find_cache(cache_dir) : NULL;
	_cleanup_free_ char *data = NULL;

	verdict->mend[0] = '\0';
	if (path && probe_read_cache(path, verdict))
		return;
	if (!probe_try_host(verdict) || !path)
		return;
	data = path_format("%s%s\n", probe_cache_head(verdict->usable), verdict->reason);
	/* A verdict that cannot be kept is found again the next time. */
	if (data && write_file_atomic(AT_FDCWD, path, 0600, data, strlen(data)) < 0)
		return;
}
