// SPDX-License-Identifier: Apache-2.0
/* The network without root: passt carries what the Arrow sends over sockets of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

/* The addresses that QEMU's own user-mode network has, too. */
#define GUEST "10.0.2.15"
#define GATEWAY "10.0.2.2"
#define GATEWAY_MAC "52:55:0a:00:02:02"
#define DNS "10.0.2.3"
#define PREFIX 24

#define DEADLINE_MS 20000u

/* A command line. */
struct words {
	const char **v; /* NULL-terminated, owned; its strings are not */
	size_t n;
	char **owned; /* strings that are */
	size_t n_owned;
};

void net_user_configure(struct net_card *card, struct net_address *dns)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	struct net_route route = {.to = {.family = 4}};

	memcpy(card->mac, mac, sizeof(mac)); /* nobody else is on this link */
	(void)!net_address_parse(GUEST "/24", &card->addresses[0]);
	(void)!net_address_parse(GATEWAY, &route.via);
	(void)!net_address_parse(DNS, dns);
	card->n_addresses = 1;
	card->routes[0] = route;
	card->n_routes = 1;
	card->mtu = 1500;
}

static void see_route(const struct net_route *route, void *arg)
{
	*(bool *)arg |= route->to.family == 4 && route->to.prefix == 0;
}

/*
 * passt looks for an interface to take addresses from, all of which it is told; it wants one
 * nevertheless, where no route leads out. The loopback's will do: it binds to none.
 */
static bool leads_out(void)
{
	bool found = false;

	return net_link_routes(0, see_route, &found) < 0 || found;
}

/*
 * Adds the options for the ports of one protocol: -t ADDRESS/HOST:GUEST each, for passt takes one
 * address an option. Returns 0 or -ENOMEM.
 */
static int user_add_ports(struct words *words, const struct net_ports *ports, bool udp)
{
	size_t before = words->n;
	char address[NET_ADDRESS_TEXT];

	for (size_t i = 0; i < ports->n; i++) {
		const struct net_port *p = &ports->v[i];

		if (p->udp != udp)
			continue;
		net_address_text(&p->host, false, address);
		words->v[words->n++] = udp ? "-u" : "-t";
		words->owned[i] = path_format(
			"%s%s%u:%u", address, *address ? "/" : "", p->host_port, p->guest_port);
		if (!words->owned[i])
			return -ENOMEM;
		words->v[words->n++] = words->owned[i];
	}
	if (words->n == before) {
		words->v[words->n++] = udp ? "-u" : "-t";
		words->v[words->n++] = "none";
	}
	return 0;
}

/* The command line of passt. Returns 0 or -ENOMEM; the words are released in either case. */
static int user_make_words(
	struct words *words, const char *program, const char *fd, const struct net_ports *ports)
{
	/* The gateway leads to no service of the host's loopback. */
	const char *const fixed[] = {program, "--fd", fd, "--stderr", "-4", "-a", GUEST, "-n", "24",
		"-g", GATEWAY, "--dns-forward", DNS, "--no-map-gw", "--no-dhcp", "--quiet", "-M",
		GATEWAY_MAC};
	const size_t n_fixed = sizeof(fixed) / sizeof(*fixed);
	int r;

	words->n_owned = ports->n;
	words->owned = calloc(ports->n + 1, sizeof(*words->owned));
	/* Two words a port, or for each protocol without any; an interface, and the end. */
	words->v = calloc(n_fixed + 2 * ports->n + 4 + 2 + 1, sizeof(*words->v));
	if (!words->owned || !words->v)
		return -ENOMEM;
	memcpy(words->v, fixed, sizeof(fixed));
	words->n = n_fixed;
	r = user_add_ports(words, ports, false);
	if (r == 0)
		r = user_add_ports(words, ports, true);
	if (!leads_out()) {
		words->v[words->n++] = "-i";
		words->v[words->n++] = "lo";
	}
	return r;
}

static void user_release_words(struct words *words)
{
	for (size_t i = 0; words->owned && i < words->n_owned; i++)
		free(words->owned[i]);
	free(words->owned);
	free(words->v);
}

static void __attribute__((noreturn)) run_passt(char **argv, int fd, int output)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (fcntl(fd, F_SETFD, 0) == 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0)
		execvp(argv[0], argv);
	_exit(127);
}

/* Waits until it is in the background, having taken its ports; or takes its last words. */
static int wait_passt(pid_t pid, int output, struct arrow_error *error)
{
	char text[4096], *line = text;
	size_t used = 0;
	uint64_t end = now_ms() + DEADLINE_MS;
	int status = 0;

	for (;;) {
		struct pollfd p = {output, POLLIN, 0};
		uint64_t now = now_ms();
		pid_t r = waitpid(pid, &status, WNOHANG);
		ssize_t n;

		while (used < sizeof(text) - 1 &&
			(n = read(output, text + used, sizeof(text) - 1 - used)) > 0)
			used += (size_t)n;
		if (r == pid)
			break;
		if (now >= end) {
			kill(pid, SIGKILL);
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
			return arrow_fail(error, ETIMEDOUT, "passt did not start within %u s",
				DEADLINE_MS / 1000);
		}
		/* Its end is no event of the pipe, which the daemon holds on to. */
		poll(&p, 1, 2);
	}
	text[used] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	/* Of its words, those that say what is wrong come last. */
	while (used && text[used - 1] == '\n')
		text[--used] = '\0';
	if (strrchr(text, '\n'))
		line = strrchr(text, '\n') + 1;
	return arrow_fail(error, EIO,
		"passt cannot start the user-mode network (status %d): %s; use --network none to run without a network",
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), line);
}

int net_user_start(struct net_card *card, const struct net_ports *ports, struct arrow_error *error)
{
	_cleanup_free_ char *program = process_find("passt"), *number = NULL;
	struct words words = {0};
	_cleanup_close_ int ours = -1, theirs = -1, output = -1;
	int fds[2], out[2], r;
	pid_t pid;

	if (!program)
		return arrow_fail(error, ENOENT,
			"passt is not installed; install it with 'sudo apt-get install passt'");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return arrow_fail(error, errno, "cannot create a socket for passt: %m");
	ours = fds[0];
	theirs = fds[1];
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return arrow_fail(error, errno, "cannot create a pipe for passt: %m");
	output = out[0];
	number = path_format("%d", theirs);
	if (!number) {
		close(out[1]);
		return arrow_fail(error, ENOMEM, "out of memory");
	}
	r = user_make_words(&words, program, number, ports);
	pid = r < 0 ? -1 : fork();
	if (pid == 0)
		run_passt((char **)words.v, theirs, out[1]);
	user_release_words(&words);
	close(out[1]);
	r = pid < 0 ? arrow_fail(error, r < 0 ? -r : errno, "cannot start passt: %m")
		    : wait_passt(pid, output, error);
	if (r < 0)
		return r;
	card->fd = steal_fd(&ours);
	return 0;
}
