/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest: sends raw frames on eth0 that an Arrow must not send, and one that it may.
 *
 *   spoof NAME OTHER-IPV4 [COUNT]
 *
 * Each frame carries "spoof-NAME", so that a capture can tell it. OTHER-IPV4 is the address that it
 * claims to have. `storm` sends COUNT broadcasts as fast as it can.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd;
static uint8_t mac[6], ip[4], other[4];
static const uint8_t bad_mac[6] = {0x02, 0xba, 0xad, 0xba, 0xad, 0x01};
static uint8_t frame[512];
static size_t size;

static void put(const void *data, size_t n)
{
	memcpy(frame + size, data, n);
	size += n;
}

static void put16(unsigned int v)
{
	put((const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void ethernet(const uint8_t *from, unsigned int type)
{
	size = 0;
	memset(frame, 0, sizeof(frame));
	put("\xff\xff\xff\xff\xff\xff", 6);
	put(from, 6);
	put16(type);
}

static uint16_t checksum(const uint8_t *data, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)data[i] << 8 | (i + 1 < n ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 packet with UDP, to everybody. */
static void udp(const uint8_t *from, unsigned int source, unsigned int to, const char *text)
{
	size_t start = size, n = strlen(text);
	uint16_t sum;

	put("\x45\0", 2);
	put16((unsigned int)(28 + n));
	put("\0\1\0\0\x40\x11\0\0", 8);
	put(from, 4);
	put("\xff\xff\xff\xff", 4);
	sum = checksum(frame + start, 20);
	frame[start + 10] = (uint8_t)(sum >> 8);
	frame[start + 11] = (uint8_t)sum;
	put16(source);
	put16(to);
	put16((unsigned int)(8 + n));
	put16(0);
	put(text, n);
}

static void arp(
	const uint8_t *sender_mac, const uint8_t *sender_ip, unsigned int op, const char *text)
{
	put("\0\1\x08\0\6\4", 6);
	put16(op);
	put(sender_mac, 6);
	put(sender_ip, 4);
	put("\0\0\0\0\0\0", 6);
	put(sender_ip, 4);
	put(text, strlen(text));
}

/* ICMPv6 of a type, from an address to all nodes, about another. */
static void icmp6(const uint8_t *from, unsigned int type, const uint8_t *target, const char *text)
{
	static const uint8_t all[16] = {0xff, 2, [15] = 1};
	uint8_t pseudo[512] = {0};
	size_t n = 24 + strlen(text), start;
	uint16_t sum;

	put("\x60\0\0\0", 4);
	put16((unsigned int)n);
	put("\x3a\xff", 2);
	put(from, 16);
	put(all, 16);
	start = size;
	put((const uint8_t[]){(uint8_t)type, 0, 0, 0, 0x60, 0, 0, 0}, 8);
	put(target, 16);
	put(text, strlen(text));
	memcpy(pseudo, from, 16);
	memcpy(pseudo + 16, all, 16);
	pseudo[34] = (uint8_t)(n >> 8);
	pseudo[35] = (uint8_t)n;
	pseudo[39] = 0x3a;
	memcpy(pseudo + 40, frame + start, n);
	sum = checksum(pseudo, 40 + n);
	frame[start + 2] = (uint8_t)(sum >> 8);
	frame[start + 3] = (uint8_t)sum;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	char text[64];
	struct ifreq r = {.ifr_name = "eth0"};
	struct {
		uint16_t family, protocol;
		int index;
		uint16_t type;
		uint8_t kind, length, address[8];
	} to = {.family = AF_PACKET, .length = 6, .address = {255, 255, 255, 255, 255, 255}};
	uint8_t own6[16] = {0xfe, 0x80}, bad6[16] = {0xfe, 0x80, [15] = 0x66};
	int count = argc > 3 ? atoi(argv[3]) : 1, sent = 0;

	if (argc < 3 || inet_pton(AF_INET, argv[2], other) != 1)
		return 2;
	fd = socket(AF_PACKET, SOCK_RAW, htons(3));
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &r) < 0)
		return perror("eth0"), 1;
	to.index = r.ifr_ifindex;
	if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
		return perror("mac"), 1;
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(s, SIOCGIFADDR, &r) == 0)
		memcpy(ip, (uint8_t *)&r.ifr_addr + 4, 4);
	memcpy(own6 + 8, mac, 3);
	own6[8] ^= 2;
	own6[11] = 0xff;
	own6[12] = 0xfe;
	memcpy(own6 + 13, mac + 3, 3);
	snprintf(text, sizeof(text), "spoof-%s-", name);

	if (strcmp(name, "mac") == 0)
		ethernet(bad_mac, 0x800), udp(ip, 9, 9, text);
	else if (strcmp(name, "ip") == 0)
		ethernet(mac, 0x800), udp(other, 9, 9, text);
	else if (strcmp(name, "arp-ip") == 0)
		ethernet(mac, 0x806), arp(mac, other, 2, text);
	else if (strcmp(name, "arp-mac") == 0)
		ethernet(mac, 0x806), arp(bad_mac, ip, 2, text);
	else if (strcmp(name, "dhcp") == 0)
		ethernet(mac, 0x800), udp(ip, 67, 68, text);
	else if (strcmp(name, "ra") == 0)
		ethernet(mac, 0x86dd), icmp6(own6, 134, bad6, text);
	else if (strcmp(name, "na") == 0)
		ethernet(mac, 0x86dd), icmp6(own6, 136, bad6, text);
	else if (strcmp(name, "ip6") == 0)
		ethernet(mac, 0x86dd), icmp6(bad6, 136, bad6, text);
	else if (strcmp(name, "vlan") == 0)
		ethernet(mac, 0x8100), put16(5), put16(0x800), udp(other, 9, 9, text);
	else if (strcmp(name, "stp") == 0)
		ethernet(mac, 0x88ff), put(text, strlen(text));
	else if (strcmp(name, "honest") == 0 || strcmp(name, "storm") == 0)
		ethernet(mac, 0x800), udp(ip, 9, 9, text);
	else if (strcmp(name, "honest-arp") == 0)
		ethernet(mac, 0x806), arp(mac, ip, 2, text);
	else
		return 2;
	for (int i = 0; i < count; i++)
		if (sendto(fd, frame, size < 60 ? 60 : size, 0, (struct sockaddr *)&to,
			    sizeof(to)) > 0)
			sent++;
	printf("%d sent\n", sent);
	return sent == 0;
}
