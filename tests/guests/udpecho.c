/* SPDX-License-Identifier: Apache-2.0 */
/* Says "up", and sends each datagram that comes to port 5353 back to where it came from. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5353)}, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char buffer[2048];

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return perror("bind"), 1;
	puts("up");
	fflush(stdout);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n =
			recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size);

		if (n >= 0)
			sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
}
