// The kernels as operations of TensorFlow, over its C interface: the same binary serves every version of TensorFlow,
// and no header of it is needed. The few functions are declared here and looked up in the TensorFlow that the process
// has loaded, so this file can also be loaded without one.
#include <cstdint>
#include <dlfcn.h>
#include <exception>
#include <new>

#include "kernels.h"
#include "pool.h"

namespace {

// From tensorflow/c/{tf_datatype,tf_status}.h.
enum { TF_FLOAT = 1 };
enum { TF_INVALID_ARGUMENT = 3, TF_RESOURCE_EXHAUSTED = 8, TF_UNIMPLEMENTED = 12, TF_INTERNAL = 13 };

struct Tensorflow {
    // ops.h
    void* (*NewOpDefinitionBuilder)(const char*);
    void (*OpDefinitionBuilderAddInput)(void*, const char*);
    void (*OpDefinitionBuilderAddOutput)(void*, const char*);
    void (*OpDefinitionBuilderAddAttr)(void*, const char*);
    void (*OpDefinitionBuilderSetShapeInferenceFunction)(void*, void (*)(void*, void*));
    void (*RegisterOpDefinition)(void*, void*);
    void (*ShapeInferenceContextSetUnknownShape)(void*, void*);
    // kernels.h
    void* (*NewKernelBuilder)(const char*, const char*, void* (*)(void*), void (*)(void*, void*), void (*)(void*));
    void (*RegisterKernelBuilder)(const char*, void*, void*);
    void (*OpKernelConstruction_GetAttrBool)(void*, const char*, unsigned char*, void*);
    void (*OpKernelConstruction_Failure)(void*, void*);
    void (*GetInput)(void*, int, void**, void*);
    void* (*AllocateOutput)(void*, int, int, const int64_t*, int, size_t, void*);
    void (*OpKernelContext_Failure)(void*, void*);
    // tf_tensor.h, tf_status.h
    void* (*TensorData)(const void*);
    int (*NumDims)(const void*);
    int64_t (*Dim)(const void*, int);
    int64_t (*TensorElementCount)(const void*);
    void (*DeleteTensor)(void*);
    void* (*NewStatus)();
    void (*DeleteStatus)(void*);
    int (*GetCode)(const void*);
    void (*SetStatus)(void*, int, const char*);
} tf;

bool look_up() {
    void* library = dlopen("libtensorflow_framework.so.2", RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return false;
    bool all = true;
#define LOOK_UP(name) all &= ((tf.name = (decltype(tf.name))dlsym(library, "TF_" #name)) != nullptr)
    LOOK_UP(NewOpDefinitionBuilder), LOOK_UP(OpDefinitionBuilderAddInput), LOOK_UP(OpDefinitionBuilderAddOutput);
    LOOK_UP(OpDefinitionBuilderAddAttr), LOOK_UP(OpDefinitionBuilderSetShapeInferenceFunction);
    LOOK_UP(RegisterOpDefinition), LOOK_UP(ShapeInferenceContextSetUnknownShape), LOOK_UP(NewKernelBuilder);
    LOOK_UP(RegisterKernelBuilder), LOOK_UP(OpKernelConstruction_GetAttrBool), LOOK_UP(OpKernelConstruction_Failure);
    LOOK_UP(GetInput), LOOK_UP(AllocateOutput), LOOK_UP(OpKernelContext_Failure), LOOK_UP(TensorData);
    LOOK_UP(NumDims), LOOK_UP(Dim), LOOK_UP(TensorElementCount), LOOK_UP(DeleteTensor), LOOK_UP(NewStatus);
    LOOK_UP(DeleteStatus), LOOK_UP(GetCode), LOOK_UP(SetStatus);
#undef LOOK_UP
    return all;
}

// What is wrong with a call, for TensorFlow's error.
struct Wrong {
    int code;
    const char* message;
};

// TensorFlow itself has refused something; the status says what.
struct Refused {};

// Inputs and outputs of one call. Tensors are TensorFlow's: their handles are given back when the call ends.
class Call {
  public:
    explicit Call(void* context) : context(context), status(tf.NewStatus()) {}
    ~Call() {
        for (int k = 0; k < used; k++) tf.DeleteTensor(tensors[k]);
        tf.DeleteStatus(status);
    }
    struct Input {
        const void* data;
        int64_t elements, shape[4];
        int dimensions;
        const float* floats() const { return (const float*)data; }
    };
    // An input of so many dimensions.
    Input input(int n, int dimensions) {
        void* tensor = nullptr;
        tf.GetInput(context, n, &tensor, status);
        check();
        tensors[used++] = tensor;
        Input found = {tf.TensorData(tensor), tf.TensorElementCount(tensor), {}, tf.NumDims(tensor)};
        if (found.dimensions != dimensions) throw Wrong{TF_INVALID_ARGUMENT, "an input has another rank"};
        for (int k = 0; k < dimensions; k++) found.shape[k] = tf.Dim(tensor, k);
        return found;
    }
    // An input of exactly this shape.
    const float* input(int n, std::initializer_list<int64_t> shape) {
        Input found = input(n, (int)shape.size());
        int k = 0;
        for (int64_t size : shape)
            if (found.shape[k++] != size) throw Wrong{TF_INVALID_ARGUMENT, "the shapes of the inputs do not fit"};
        return found.floats();
    }
    float* output(int n, std::initializer_list<int64_t> shape) {
        int64_t elements = 1;
        for (int64_t size : shape) elements *= size;
        void* tensor = tf.AllocateOutput(context, n, TF_FLOAT, shape.begin(), (int)shape.size(), elements * 4, status);
        check();
        tensors[used++] = tensor;
        return (float*)tf.TensorData(tensor);
    }
    void fail(int code, const char* message) {
        tf.SetStatus(status, code, message);
        fail();
    }
    void fail() { tf.OpKernelContext_Failure(context, status); }

  private:
    void check() {
        if (tf.GetCode(status)) throw Refused{};
    }
    void *context, *status, *tensors[24];
    int used = 0;
};

// The path for products in float32, and that for products in bfloat16, which may be null.
const rnnlm::Path* paths[2] = {};

const rnnlm::Path* path_for(bool bfloat16) {
    if (!paths[bfloat16]) throw Wrong{TF_UNIMPLEMENTED, "this processor has no kernel for products in bfloat16"};
    return paths[bfloat16];
}

// The attributes of an operation.
struct Attributes {
    bool training, bfloat16;
};

// The inputs of a layer and its sizes. Input `ids` says which row of them each step reads. If they have a row for each, its
// shape is (0, 0), or `ids` is -1 where an operation has no such input.
template <class Layer>
void read_x(Call& call, int ids, Layer& l) {
    const auto given = ids < 0 ? Call::Input{} : call.input(ids, 2);
    if (!given.shape[0] && !given.shape[1]) {
        const auto x = call.input(0, 3);
        l.x = x.floats(), l.steps = x.shape[0], l.batch = x.shape[1], l.inputs = x.shape[2];
        return;
    }
    const auto x = call.input(0, 2);
    l.x = x.floats(), l.rows = x.shape[0], l.inputs = x.shape[1];
    l.ids = (const int32_t*)given.data, l.steps = given.shape[0], l.batch = given.shape[1];
    for (int64_t n = 0; n < given.elements; n++)
        if (l.ids[n] < 0 || l.ids[n] >= l.rows) throw Wrong{TF_INVALID_ARGUMENT, "an id is not in the vocabulary"};
}

void check_reads_alone(Attributes a) {
    if (a.training || a.bfloat16) throw Wrong{TF_INVALID_ARGUMENT, "ids are for evaluations in float32"};
}

rnnlm::Lstm lstm_inputs(Call& call, int ids = -1) {
    rnnlm::Lstm l = {};
    read_x(call, ids, l);
    l.units = call.input(1, 2).shape[1] / 4;
    const int64_t T = l.steps, B = l.batch, I = l.inputs, U = l.units;
    l.kernel = call.input(1, {I, 4 * U}), l.recurrent = call.input(2, {U, 4 * U});
    l.bias = call.input(3, {4 * U}), l.h0 = call.input(4, {B, U}), l.c0 = call.input(5, {B, U});
    auto keep = call.input(6, 3);
    if (keep.elements) l.keep = call.input(6, {T, B, 1});
    return l;
}

void lstm(Call& call, Attributes a) {
    rnnlm::Lstm l = lstm_inputs(call, 7);
    if (l.ids) check_reads_alone(a);
    const int64_t T = l.steps, B = l.batch, U = l.units;
    l.h = call.output(0, {T, B, U});
    l.cells = call.output(1, {a.training ? T : 1, B, U});
    float* gates = call.output(2, {a.training ? T : 0, B, 4 * U});
    if (a.training) l.gates = gates;
    path_for(a.bfloat16)->lstm(l, rnnlm::threads());
}

void lstm_gradient(Call& call, Attributes a) {
    rnnlm::Lstm l = lstm_inputs(call);
    const int64_t T = l.steps, B = l.batch, I = l.inputs, U = l.units;
    l.h = const_cast<float*>(call.input(7, {T, B, U}));
    l.cells = const_cast<float*>(call.input(8, {T, B, U}));
    l.gates = const_cast<float*>(call.input(9, {T, B, 4 * U}));
    rnnlm::LstmGradient d = {};
    d.dh = call.input(10, {T, B, U}), d.dc = call.input(11, {B, U});
    d.dx = call.output(0, {T, B, I}), d.dkernel = call.output(1, {I, 4 * U});
    d.drecurrent = call.output(2, {U, 4 * U}), d.dbias = call.output(3, {4 * U});
    d.dh0 = call.output(4, {B, U}), d.dc0 = call.output(5, {B, U});
    path_for(a.bfloat16)->lstm_gradient(l, d, rnnlm::threads());
}

rnnlm::Gru gru_inputs(Call& call, int ids = -1) {
    rnnlm::Gru l = {};
    read_x(call, ids, l);
    l.units = call.input(1, 2).shape[1] / 3;
    const int64_t T = l.steps, B = l.batch, I = l.inputs, U = l.units;
    l.kernel = call.input(1, {I, 3 * U}), l.recurrent = call.input(2, {U, 3 * U});
    l.bias = call.input(3, {2, 3 * U}), l.h0 = call.input(4, {B, U});
    auto keep = call.input(5, 3);
    if (keep.elements) l.keep = call.input(5, {T, B, 1});
    return l;
}

void gru(Call& call, Attributes a) {
    rnnlm::Gru l = gru_inputs(call, 6);
    if (l.ids) check_reads_alone(a);
    const int64_t T = l.steps, B = l.batch, U = l.units;
    l.h = call.output(0, {T, B, U});
    float* gates = call.output(1, {a.training ? T : 0, B, 4 * U});
    if (a.training) l.gates = gates;
    path_for(a.bfloat16)->gru(l, rnnlm::threads());
}

void gru_gradient(Call& call, Attributes a) {
    rnnlm::Gru l = gru_inputs(call);
    const int64_t T = l.steps, B = l.batch, I = l.inputs, U = l.units;
    l.h = const_cast<float*>(call.input(6, {T, B, U}));
    l.gates = const_cast<float*>(call.input(7, {T, B, 4 * U}));
    rnnlm::GruGradient d = {};
    d.dh = call.input(8, {T, B, U});
    d.dx = call.output(0, {T, B, I}), d.dkernel = call.output(1, {I, 3 * U});
    d.drecurrent = call.output(2, {U, 3 * U}), d.dbias = call.output(3, {2, 3 * U});
    d.dh0 = call.output(4, {B, U});
    path_for(a.bfloat16)->gru_gradient(l, d, rnnlm::threads());
}

void softmax(Call& call, Attributes a) {
    rnnlm::Softmax s = {};
    auto hidden = call.input(0, 2);
    auto embeddings = call.input(1, 2);
    s.rows = hidden.shape[0], s.width = hidden.shape[1], s.vocabulary = embeddings.shape[0];
    s.hidden = hidden.floats(), s.embeddings = call.input(1, {s.vocabulary, s.width});
    s.bias = call.input(2, {s.vocabulary}), s.weights = call.input(4, {s.rows});
    if (s.vocabulary == 0) throw Wrong{TF_INVALID_ARGUMENT, "the vocabulary is empty"};
    auto targets = call.input(3, 1);
    if (targets.elements) {
        s.targets = (const int32_t*)call.input(3, {s.rows});
        for (long m = 0; m < s.rows; m++)
            if (s.targets[m] < 0 || s.targets[m] >= s.vocabulary)
                throw Wrong{TF_INVALID_ARGUMENT, "a target is not in the vocabulary"};
    }
    s.nll = call.output(0, {s.rows});
    float* dhidden = call.output(1, {a.training ? s.rows : 0, s.width});
    s.dembeddings = call.output(2, {a.training ? s.vocabulary : 0, s.width});
    s.dbias = call.output(3, {a.training ? s.vocabulary : 0});
    if (a.training) s.dhidden = dhidden;
    path_for(a.bfloat16)->softmax(s, rnnlm::threads());
}

// (steps, batch, units) and (batch, units) of a recurrence without products.
struct PoolingShape {
    int64_t steps, batch, units;
};

rnnlm::Pooling pooling_inputs(Call& call, PoolingShape& shape) {
    auto forget = call.input(0, 3);
    const int64_t T = forget.shape[0], B = forget.shape[1], U = forget.shape[2];
    shape = {T, B, U};
    rnnlm::Pooling p = {};
    p.steps = T, p.size = B * U;
    p.forget = forget.floats(), p.added = call.input(1, {T, B, U}), p.before = call.input(2, {B, U});
    return p;
}

void pooling(Call& call, Attributes) {
    PoolingShape s;
    rnnlm::Pooling p = pooling_inputs(call, s);
    p.cells = call.output(0, {s.steps, s.batch, s.units});
    paths[0]->pooling(p, rnnlm::threads());
}

void pooling_gradient(Call& call, Attributes) {
    PoolingShape s;
    rnnlm::Pooling p = pooling_inputs(call, s);
    p.cells = const_cast<float*>(call.input(3, {s.steps, s.batch, s.units}));
    rnnlm::PoolingGradient d = {};
    d.dcells = call.input(4, {s.steps, s.batch, s.units});
    d.dforget = call.output(0, {s.steps, s.batch, s.units}), d.dadded = call.output(1, {s.steps, s.batch, s.units});
    d.dbefore = call.output(2, {s.batch, s.units});
    paths[0]->pooling_gradient(p, d, rnnlm::threads());
}

template <void (*compute)(Call&, Attributes)>
void run(void* kernel, void* context) {
    Call call(context);
    try {
        compute(call, *(const Attributes*)kernel);
    } catch (const Refused&) {
        call.fail();
    } catch (const Wrong& wrong) {
        call.fail(wrong.code, wrong.message);
    } catch (const std::bad_alloc&) {
        call.fail(TF_RESOURCE_EXHAUSTED, "there is no memory left for scratch");
    } catch (const std::exception& error) {
        call.fail(TF_INTERNAL, error.what());
    }
}

void* read_attributes(void* construction) {
    unsigned char training = 0, bfloat16 = 0;
    void* status = tf.NewStatus();
    tf.OpKernelConstruction_GetAttrBool(construction, "training", &training, status);
    if (!tf.GetCode(status)) tf.OpKernelConstruction_GetAttrBool(construction, "round_factors", &bfloat16, status);
    if (tf.GetCode(status)) tf.OpKernelConstruction_Failure(construction, status);
    tf.DeleteStatus(status);
    return new Attributes{training != 0, bfloat16 != 0};
}

template <void (*compute)(Call&, Attributes)>
bool add(const char* name, std::initializer_list<const char*> inputs, std::initializer_list<const char*> outputs) {
    void* status = tf.NewStatus();
    void* op = tf.NewOpDefinitionBuilder(name);
    for (const char* input : inputs) tf.OpDefinitionBuilderAddInput(op, input);
    for (const char* output : outputs) tf.OpDefinitionBuilderAddOutput(op, output);
    tf.OpDefinitionBuilderAddAttr(op, "training: bool = false");
    tf.OpDefinitionBuilderAddAttr(op, "round_factors: bool = false");
    // Python sets the shapes that it knows.
    tf.OpDefinitionBuilderSetShapeInferenceFunction(op, [](void* c, void* s) {
        tf.ShapeInferenceContextSetUnknownShape(c, s);
    });
    tf.RegisterOpDefinition(op, status);
    bool good = tf.GetCode(status) == 0;
    if (good) {
        void* kernel = tf.NewKernelBuilder(name, "CPU", read_attributes, run<compute>,
                                           [](void* kernel) { delete (Attributes*)kernel; });
        tf.RegisterKernelBuilder(name, kernel, status);
        good = tf.GetCode(status) == 0;
    }
    tf.DeleteStatus(status);
    return good;
}

bool registered = false;

// When the library is loaded.
__attribute__((constructor)) void add_operations() {
    if (!look_up()) return;
    paths[0] = &rnnlm::best_path(), paths[1] = rnnlm::best_bfloat16_path();
    registered =
        add<lstm>("RnnlmLstm",
                  {"x: float", "kernel: float", "recurrent: float", "bias: float", "h0: float", "c0: float",
                   "keep: float", "ids: int32"},
                  {"h: float", "cells: float", "gates: float"}) &&
        add<lstm_gradient>("RnnlmLstmGradient",
                           {"x: float", "kernel: float", "recurrent: float", "bias: float", "h0: float", "c0: float",
                            "keep: float", "h: float", "cells: float", "gates: float", "dh: float", "dc: float"},
                           {"dx: float", "dkernel: float", "drecurrent: float", "dbias: float", "dh0: float",
                            "dc0: float"}) &&
        add<gru>("RnnlmGru",
                 {"x: float", "kernel: float", "recurrent: float", "bias: float", "h0: float", "keep: float",
                  "ids: int32"},
                 {"h: float", "gates: float"}) &&
        add<gru_gradient>("RnnlmGruGradient",
                          {"x: float", "kernel: float", "recurrent: float", "bias: float", "h0: float", "keep: float",
                           "h: float", "gates: float", "dh: float"},
                          {"dx: float", "dkernel: float", "drecurrent: float", "dbias: float", "dh0: float"}) &&
        add<softmax>("RnnlmSoftmax",
                     {"hidden: float", "embeddings: float", "bias: float", "targets: int32", "weights: float"},
                     {"nll: float", "dhidden: float", "dembeddings: float", "dbias: float"}) &&
        add<pooling>("RnnlmPooling", {"forget: float", "added: float", "before: float"}, {"cells: float"}) &&
        add<pooling_gradient>("RnnlmPoolingGradient",
                              {"forget: float", "added: float", "before: float", "cells: float", "dcells: float"},
                              {"dforget: float", "dadded: float", "dbefore: float"});
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int rnnlm_registered() { return registered; }
