// SPDX-License-Identifier: Apache-2.0
/* The hello Arrow: says where it runs. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return 1;
	printf("Hello from Arrow %s: process %d on Linux %s, my own kernel.\n", u.nodename,
		(int)getpid(), u.release);
	return 0;
}
