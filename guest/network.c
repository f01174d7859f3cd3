// SPDX-License-Identifier: Apache-2.0
/*
 * Network cards. The host gives all of it in the job: there is no DHCP. By ioctl(2), which does all
 * that is needed here with less code than rtnetlink.
 */
#include "guest/network.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/identity.h"
#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

#define CARDS_MAX 8u
#define SYS_DIR "/sys"
#define RECORDS_MAX 32768u /* of a host's answer about the network */

/* musl comes without the kernel's headers; this is of linux/ipv6.h. */
struct in6_ifreq {
	struct in6_addr address;
	uint32_t prefix;
	int index;
};

/* Sets net/ipv6/conf/<card>/<name>, where the kernel has IPv6. */
static void network_set_ipv6(
	const struct stage *stage, const char *card, const char *name, const char *value)
{
	char path[96];
	_cleanup_close_ int fd = -1;

	strcpy(path, "net/ipv6/conf/");
	strcat(path, card);
	strcat(path, "/");
	strcat(path, name);
	fd = openat(stage->sysctl, path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write_full(fd, value, strlen(value)) < 0)
		errno = 0;
}

/* ethN; there are less than ten. */
static void network_name_card(char *name, uint32_t index)
{
	strcpy(name, "eth0");
	name[3] = (char)('0' + index);
}

/* A card without an address, also of IPv6. */
static int network_bring_up(int fd, const struct stage *stage, struct ifreq *request)
{
	network_set_ipv6(stage, request->ifr_name, "addr_gen_mode", "1");
	network_set_ipv6(stage, request->ifr_name, "accept_ra", "0");
	/* The host has made sure that nobody else has the address. */
	network_set_ipv6(stage, request->ifr_name, "accept_dad", "0");
	network_set_ipv6(stage, request->ifr_name, "dad_transmits", "0");
	request->ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, request) < 0 ? -errno : 0;
}

/*
 * Brings the cards up, so that clones share the buffers of their queues. Nothing is sent: there is
 * no address yet, and for IPv6 none is made up of the MAC, which changes.
 */
void network_prepare(const struct stage *stage)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	for (unsigned int i = 0; fd >= 0; i++) {
		network_name_card(request.ifr_name, i);
		if (ioctl(fd, SIOCGIFINDEX, &request) < 0 ||
			network_bring_up(fd, stage, &request) < 0)
			break;
	}
	errno = 0;
}

static int network_tell_driver(const struct stage *stage, const char *what)
{
	_cleanup_close_ int fd = openat(stage->driver, what, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_full(fd, stage->spare, strlen(stage->spare));
}

/* Finds a card, or puts the spare one to use; and sees that it is up. */
static int network_wake_card(int fd, const struct stage *stage, struct ifreq *request)
{
	int r = 0;

	if (ioctl(fd, SIOCGIFFLAGS, request) < 0) {
		r = stage->driver > 0 ? network_tell_driver(stage, "bind") : -ENODEV;
		if (r == 0 && ioctl(fd, SIOCGIFFLAGS, request) < 0)
			r = -errno;
	}
	return r < 0 || (request->ifr_flags & IFF_UP) ? r : network_bring_up(fd, stage, request);
}

/* Each returns 0 or a negative errno; the request has the name of the card. */
static int network_set_nic(
	int fd, const struct stage *stage, const struct arrow_job_nic *nic, struct ifreq *request)
{
	int r = network_wake_card(fd, stage, request);

	if (r < 0)
		return r;
	request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request->ifr_hwaddr.sa_data, nic->mac, sizeof(nic->mac));
	if (ioctl(fd, SIOCSIFHWADDR, request) < 0)
		return -errno;
	request->ifr_mtu = (int)nic->mtu;
	if (nic->mtu && ioctl(fd, SIOCSIFMTU, request) < 0)
		return -errno;
	/* The link-local address, of the MAC that it has now. */
	network_set_ipv6(stage, request->ifr_name, "addr_gen_mode", "0");
	return 0;
}

static void network_put_inet(struct sockaddr *to, const void *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	in->sin_family = AF_INET;
	memcpy(&in->sin_addr, address, sizeof(in->sin_addr));
}

static void network_put_mask(struct sockaddr *to, unsigned int prefix)
{
	uint32_t mask = prefix ? htonl(UINT32_MAX << (32 - prefix)) : 0;

	network_put_inet(to, &mask);
}

/* `alias` tells the addresses of one card apart. */
static int network_add_address(
	const int fds[2], const struct arrow_job_address *a, char alias, struct ifreq *request)
{
	struct in6_ifreq request6 = {.prefix = a->prefix};

	if (a->family == 6) {
		if (ioctl(fds[0], SIOCGIFINDEX, request) < 0)
			return -errno;
		request6.index = request->ifr_ifindex;
		memcpy(&request6.address, a->address, sizeof(request6.address));
		return ioctl(fds[1], SIOCSIFADDR, &request6) < 0 && errno != EEXIST ? -errno : 0;
	}
	if (alias != 'a') {
		char *end = request->ifr_name + strlen(request->ifr_name);

		end[0] = ':';
		end[1] = alias;
		end[2] = '\0';
	}
	network_put_inet(&request->ifr_addr, a->address);
	if (ioctl(fds[0], SIOCSIFADDR, request) < 0)
		return -errno;
	network_put_mask(&request->ifr_netmask, a->prefix);
	return ioctl(fds[0], SIOCSIFNETMASK, request) < 0 ? -errno : 0;
}

static int network_add_route(
	const int fds[2], const struct arrow_job_route *route, struct ifreq *request)
{
	static const uint8_t none[16];
	bool via = memcmp(route->gateway, none, sizeof(none)) != 0;
	short flags = RTF_UP | (via ? RTF_GATEWAY : 0);
	struct rtentry entry = {.rt_dev = request->ifr_name, .rt_flags = flags};
	struct in6_rtmsg entry6 = {.rtmsg_metric = 1024, .rtmsg_dst_len = route->prefix};

	if (route->family == 6) {
		if (ioctl(fds[0], SIOCGIFINDEX, request) < 0)
			return -errno;
		entry6.rtmsg_ifindex = request->ifr_ifindex;
		entry6.rtmsg_flags = (uint32_t)flags;
		memcpy(&entry6.rtmsg_dst, route->destination, sizeof(entry6.rtmsg_dst));
		memcpy(&entry6.rtmsg_gateway, route->gateway, sizeof(entry6.rtmsg_gateway));
		return ioctl(fds[1], SIOCADDRT, &entry6) < 0 && errno != EEXIST ? -errno : 0;
	}
	network_put_inet(&entry.rt_dst, route->destination);
	network_put_mask(&entry.rt_genmask, route->prefix);
	if (via)
		network_put_inet(&entry.rt_gateway, route->gateway);
	return ioctl(fds[0], SIOCADDRT, &entry) < 0 && errno != EEXIST ? -errno : 0;
}

/* Which of its card's addresses it is. */
static unsigned int network_rank_route(const struct job_network *n, size_t index)
{
	unsigned int before = 0;

	for (size_t i = 0; i < index; i++)
		before += n->addresses[i].index == n->addresses[index].index;
	return before;
}

int network_configure(const struct stage *stage, const struct job *job, struct failure *failure)
{
	const struct job_network *n = &job->network;
	bool any = n->nic_count + n->address_count + n->route_count > 0;
	_cleanup_close_ int fd4 = any ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	_cleanup_close_ int fd6 = any ? socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	const int fds[2] = {fd4, fd6};
	struct ifreq request;
	const char *what = "MAC or MTU";
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->nic_count; i++) {
		network_name_card(request.ifr_name, n->nics[i].index);
		r = network_set_nic(fd4, stage, &n->nics[i], &request);
	}
	for (size_t i = 0; r == 0 && i < n->address_count; i++) {
		what = "address";
		network_name_card(request.ifr_name, n->addresses[i].index);
		r = network_add_address(
			fds, &n->addresses[i], (char)('a' + network_rank_route(n, i)), &request);
	}
	for (size_t i = 0; r == 0 && i < n->route_count; i++) {
		what = "route";
		network_name_card(request.ifr_name, n->routes[i].index);
		r = network_add_route(fds, &n->routes[i], &request);
	}
	/* There was no socket to ask. */
	if (r == -EBADF && fd6 < 0)
		return fail(failure, 125, EAFNOSUPPORT,
			"the guest's kernel has no IPv6, which the network of %.15s has: run the program with --kernel general",
			request.ifr_name);
	return r < 0 ? fail(failure, 125, -r, "cannot set the %s of %.15s: %m", what,
			       request.ifr_name)
		     : 0;
}

int network_renew(const struct stage *stage, const struct job *job, struct failure *failure)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	/* Down: the routes go, and the addresses of IPv6; that of IPv4 is replaced. */
	for (unsigned int i = 0; fd >= 0; i++) {
		network_name_card(request.ifr_name, i);
		request.ifr_flags = 0;
		if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
			break;
	}
	if (job->network.nic_count == 0)
		return 0;
	network_prepare(stage);
	return network_configure(stage, job, failure);
}

/* The driver's device with the highest number, which is the last card. */
static void network_find_last(struct stage *stage)
{
	_cleanup_closedir_ DIR *dir = opendir(SYS_DIR "/bus/virtio/drivers/virtio_net");
	struct dirent *entry;
	unsigned long last = 0;

	while (dir && (entry = readdir(dir))) {
		unsigned long number;

		if (strncmp(entry->d_name, "virtio", 6) != 0)
			continue;
		number = strtoul(entry->d_name + 6, NULL, 10);
		if (stage->spare[0] && number < last)
			continue;
		last = number;
		snprintf(stage->spare, sizeof(stage->spare), "virtio%lu", number);
	}
	if (dir && stage->spare[0])
		stage->driver = fcntl(dirfd(dir), F_DUPFD_CLOEXEC, 3);
}

void network_hide_spare(struct stage *stage)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};
	unsigned int n = 0;

	for (; fd >= 0 && n <= CARDS_MAX; n++) {
		network_name_card(request.ifr_name, n);
		if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
			break;
	}
	errno = 0;
	if (n == 0)
		return;
	network_name_card(request.ifr_name, n - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0 ||
		(uint8_t)request.ifr_hwaddr.sa_data[4] != ARROW_SPARE_MAC)
		return;
	/* Programs have one that is read-only. */
	if ((mkdir(SYS_DIR, 0555) < 0 && errno != EEXIST) ||
		mount("sysfs", SYS_DIR, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return;
	network_find_last(stage);
	(void)!umount2(SYS_DIR, MNT_DETACH);
	if (stage->driver > 0 && network_tell_driver(stage, "unbind") < 0)
		errno = 0;
}

static bool network_is_on(const struct job_network *n, uint32_t index)
{
	for (size_t i = 0; i < n->nic_count; i++)
		if (n->nics[i].index == index)
			return true;
	return false;
}

/* Takes the cards down that are on no network any more. */
static int network_leave_all(const struct job *job, struct failure *failure)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static const uint8_t none[4];
	struct ifreq request = {0};
	int r = 0;

	for (unsigned int i = 0; fd >= 0 && r == 0 && i < CARDS_MAX; i++) {
		network_name_card(request.ifr_name, i);
		if (network_is_on(&job->network, i) || ioctl(fd, SIOCGIFFLAGS, &request) < 0 ||
			!(request.ifr_flags & IFF_UP))
			continue;
		/* Routes go, and the addresses of IPv6. */
		request.ifr_flags = 0;
		r = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
		network_put_inet(&request.ifr_addr, none);
		if (r == 0 && ioctl(fd, SIOCSIFADDR, &request) < 0)
			r = -errno;
	}
	return r < 0 ? fail(failure, 125, -r, "cannot take %.15s down: %m", request.ifr_name) : 0;
}

int worker_network(const struct stage *stage, int in, int out)
{
	_cleanup_free_ uint8_t *data = malloc(RECORDS_MAX + 1);
	struct failure failure = {0};
	const char *why;
	struct job job;
	ssize_t n;

	if (!data)
		return 1;
	n = read_full(in, data, RECORDS_MAX);
	if (n < 0 || job_decode_network(data, (size_t)n, &job, &why) < 0)
		return 1;
	if (network_leave_all(&job, &failure) == 0 && network_configure(stage, &job, &failure) == 0)
		identity_resolver(&job);
	return dprintf(out, "%u %s\n", failure.status, failure.text) < 0;
}
