// Kernels, as their cubins describe them, and what a launch must keep to.
//
// NVIDIA does not document cubins. What is read here was found in those of NVRTC 12.9 and 13.5; one
// that does not fit is refused.
#pragma once

#include <elf.h>

#include <set>
#include <vector>

#include "gpu.h"

namespace {

struct Module;

struct Function {
    const Module *module;
    std::string name;
    unsigned registers = 0;                // of a thread
    unsigned shared = 0;                   // bytes a block, static
    unsigned most_dynamic = SHARED;        // bytes of dynamic shared memory that a block may have
    unsigned most_threads = MOST_THREADS;  // of a block, by __launch_bounds__
    std::vector<unsigned> sizes;           // of the parameters, bytes
    unsigned end_of_parameters = 0;        // by their own offsets and sizes
    unsigned size_of_parameters = 0;       // as the cubin says it
};

struct Module {
    std::map<std::string, Function> functions;
};

std::set<const void *> known_functions;

Function *function_of(CUfunction handle) {
    const Lock lock(one_at_a_time);
    return known_functions.count(handle) ? reinterpret_cast<Function *>(handle) : nullptr;
}

// ---- reading a cubin ---------------------------------------------------------------------------

// An ELF file in memory: a cubin, or a shared object.
struct Elf {
    const char *data;
    const Elf64_Ehdr *header;

    explicit Elf(const char *data)
        : data(data), header(reinterpret_cast<const Elf64_Ehdr *>(data)) {}
    bool is_whole() const { return std::memcmp(data, ELFMAG, SELFMAG) == 0; }
    const Elf64_Shdr &section(int i) const {
        return reinterpret_cast<const Elf64_Shdr *>(data + header->e_shoff)[i];
    }
    const char *content(const Elf64_Shdr &section) const { return data + section.sh_offset; }

    template <class Visit>  // visit(what follows the prefix in its name, the section)
    void sections(const std::string &prefix, Visit visit) const {
        const char *names = content(section(header->e_shstrndx));
        for (int i = 0; i < header->e_shnum; ++i) {
            const std::string name = names + section(i).sh_name;
            if (name.rfind(prefix, 0) == 0) visit(name.substr(prefix.size()), section(i));
        }
    }
    template <class Visit>  // visit(name, symbol)
    void symbols(Visit visit) const {
        for (int i = 0; i < header->e_shnum; ++i) {
            const Elf64_Shdr &table = section(i);
            if (table.sh_type != SHT_SYMTAB) continue;
            const char *names = content(section(static_cast<int>(table.sh_link)));
            const auto *symbol = reinterpret_cast<const Elf64_Sym *>(content(table));
            for (size_t k = 0; k < table.sh_size / sizeof *symbol; ++k)
                visit(names + symbol[k].st_name, symbol[k]);
        }
    }
};

// A section .nv.info is a sequence of attributes: a byte for the form, one for the attribute, then
// 16 bits: the value, or in the long form the size of the words that follow.
enum Attribute { MAX_THREADS = 0x05, PARAMETER = 0x17, PARAMETERS = 0x19, REGISTER_COUNT = 0x2f };
constexpr unsigned char LONG_FORM = 4;

template <class Visit>  // visit(attribute, value, words)
void attributes(const Elf &elf, const Elf64_Shdr &section, Visit visit) {
    const char *at = elf.content(section), *end = at + section.sh_size;
    while (at + 4 <= end) {
        unsigned short value;
        std::memcpy(&value, at + 2, sizeof value);
        visit(at[1], value, reinterpret_cast<const unsigned *>(at + 4));
        at += 4 + (at[0] == LONG_FORM ? value : 0);
    }
}

void read_attribute(Function &kernel, int attribute, unsigned short value, const unsigned *words) {
    if (attribute == MAX_THREADS) kernel.most_threads = words[0] * words[1] * words[2];
    if (attribute == PARAMETERS) kernel.size_of_parameters = value;
    if (attribute != PARAMETER) return;
    const unsigned ordinal = words[1] & 0xffff, offset = words[1] >> 16, size = words[2] >> 18;
    if (kernel.sizes.size() <= ordinal) kernel.sizes.resize(ordinal + 1);
    kernel.sizes[ordinal] = size;
    if (offset + size > kernel.end_of_parameters) kernel.end_of_parameters = offset + size;
}

cudaError_t read_cubin(Module &module, const char *data) {
    const Elf elf(data);
    if (!elf.is_whole()) return fail(cudaErrorInvalidKernelImage, "only cubins can be loaded");
    const bool newer = data[EI_ABIVERSION] >= 8;
    const int made_for = elf.header->e_flags >> (newer ? 8 : 0) & 0xff;
    if (made_for / 10 != architecture / 10 || made_for > architecture)
        return fail(cudaErrorNoKernelImageForDevice, "a cubin for sm_%d on sm_%d", made_for,
                    architecture);
    elf.sections(".text.", [&](const std::string &name, const Elf64_Shdr &) {
        module.functions[name].name = name;
    });
    unsigned reserved = 0;  // bytes of shared memory that the system has in each block
    elf.sections(".nv.shared.reserved.", [&](const std::string &, const Elf64_Shdr &) {
        reserved = 1024;
    });
    std::vector<std::string> symbols;
    elf.symbols([&](const char *name, const Elf64_Sym &) { symbols.push_back(name); });
    elf.sections(".nv.info", [&](const std::string &rest, const Elf64_Shdr &section) {
        attributes(elf, section, [&](int attribute, unsigned short value, const unsigned *words) {
            if (!rest.empty())  // a dot and the kernel's name
                read_attribute(module.functions[rest.substr(1)], attribute, value, words);
            else if (attribute == REGISTER_COUNT && module.functions.count(symbols.at(words[0])))
                module.functions[symbols[words[0]]].registers = words[1];
        });
    });
    for (auto &entry : module.functions) {
        Function &kernel = entry.second;
        kernel.module = &module;
        const std::string section = ".nv.shared." + kernel.name;
        elf.sections(section, [&](const std::string &rest, const Elf64_Shdr &found) {
            if (rest.empty()) kernel.shared = static_cast<unsigned>(found.sh_size) - reserved;
        });
        if (kernel.registers == 0 || kernel.end_of_parameters != kernel.size_of_parameters)
            return fail(cudaErrorInvalidKernelImage, "kernels.h cannot read this cubin of %s",
                        kernel.name.c_str());
        const Lock lock(one_at_a_time);
        known_functions.insert(&kernel);
    }
    return cudaSuccess;
}

// ---- launches ----------------------------------------------------------------------------------

cudaError_t check_launch(const Function &kernel, const unsigned *grid, const unsigned *block,
                         unsigned dynamic) {
    const char *name = kernel.name.c_str();
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > MOST_BLOCKS || grid[1] > MOST_BLOCKS_YZ ||
        grid[2] > MOST_BLOCKS_YZ)
        return fail(cudaErrorInvalidValue, "%s: a grid of %u x %u x %u blocks", name, grid[0],
                    grid[1], grid[2]);
    const size_t threads = size_t(block[0]) * block[1] * block[2];
    if (threads == 0 || threads > MOST_THREADS || block[2] > MOST_DEPTH)
        return fail(cudaErrorInvalidValue, "%s: a block of %u x %u x %u threads", name, block[0],
                    block[1], block[2]);
    if (threads > kernel.most_threads)
        return fail(cudaErrorInvalidValue, "%s: a block of %zu threads, __launch_bounds__ allow %u",
                    name, threads, kernel.most_threads);
    const size_t whole_warps = (threads + WARP - 1) / WARP * WARP;
    const size_t registers = (kernel.registers + REGISTER_UNIT - 1) / REGISTER_UNIT * REGISTER_UNIT;
    if (whole_warps * registers > REGISTERS)
        return fail(cudaErrorLaunchOutOfResources,
                    "%s: %zu threads of %u registers, a block has %u", name, threads,
                    kernel.registers, REGISTERS);
    const size_t shared = size_t(kernel.shared) + dynamic;
    if (dynamic > kernel.most_dynamic || shared > most_shared() ||
        (shared > SHARED && kernel.most_dynamic <= SHARED))
        return fail(cudaErrorInvalidValue,
                    "%s: %u bytes of static and %u of dynamic shared memory, it may have %u in all",
                    name, kernel.shared, dynamic,
                    kernel.most_dynamic > SHARED ? most_shared() : SHARED);
    return cudaSuccess;
}

}  // namespace
