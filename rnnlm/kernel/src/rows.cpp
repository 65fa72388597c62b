#include "rows.h"

#include <memory>
#include <vector>

namespace rnnlm {

RowsRead::RowsRead(const int32_t* read, long count, long rows) : ids(nullptr), places(nullptr) {
    if (!read) return;
    std::vector<int32_t> place_of(rows, -1);
    std::unique_ptr<int32_t[]> found(new int32_t[count]), where(new int32_t[count]);
    for (long n = 0; n < count; n++) {
        int32_t& place = place_of[read[n]];
        if (place < 0) place = (int32_t)distinct, found[distinct++] = read[n];
        where[n] = place;
    }
    ids = found.release(), places = where.release();
}

RowsRead::~RowsRead() {
    delete[] ids;
    delete[] places;
}

}  // namespace rnnlm
