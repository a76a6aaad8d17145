/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * leaks_cxx: C++ objects with virtual functions and the containers of the standard library,
 * held and lost. The truth says how many objects of each class there are, and what is lost.
 */
/* build: -O0 */
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

extern "C" {
#include "victim.h"
}

namespace shop {

struct Item {
	virtual ~Item() = default;
	virtual int price() const { return 1; }
	Item *link = nullptr;
};

struct Book : Item {
	int price() const override { return 2; }
	std::string title = "a title that is too long for the small buffer";
};

struct Record : Item {
	int price() const override { return 3; }
	long tracks[12] = {};
};

} /* namespace shop */

static std::map<int, std::string> names;
static std::vector<std::unique_ptr<shop::Item>> shelf;
static std::list<std::shared_ptr<shop::Record>> queue;
static std::unordered_map<std::string, shop::Book *> index_;
static char lost[4096];
static size_t lost_len;

static __attribute__((noinline)) void wipe()
{
	volatile char stack[32768];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
}

static __attribute__((noinline)) void hold()
{
	for (int i = 0; i < 40; i++)
		names[i] = "the name of number " + std::to_string(i) + ", which is long";
	for (int i = 0; i < 30; i++)
		shelf.push_back(std::make_unique<shop::Book>());
	for (int i = 0; i < 10; i++)
		queue.push_back(std::make_shared<shop::Record>());
	for (int i = 0; i < 20; i++)
		index_["book number " + std::to_string(i) + " of twenty"] =
			static_cast<shop::Book *>(shelf[(size_t)i].get());
}

static __attribute__((noinline)) void lose()
{
	for (int i = 0; i < 7; i++) {
		shop::Item *a = new shop::Record;

		a->link = new shop::Book;
		lost_len += (size_t)snprintf(lost + lost_len, sizeof(lost) - lost_len, "%s\"%p\"",
					     lost_len ? "," : "", (void *)a);
	}
}

int main()
{
	victim_init();
	hold();
	lose();
	wipe();
	/* A lost record holds a book, and that its title: 7, 7 and 7. */
	victim_ready("\"books\":37,\"records\":7,\"definite\":[%s],\"indirect_count\":14", lost);
	wipe();
	victim_wait();
}
