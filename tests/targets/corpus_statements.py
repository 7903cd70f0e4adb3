"""The lines that random programs are made of.

``{v}`` is a new variable. ``{F2}`` is a variable of floats of shape (B, C); letters are F, I, M for floats, whole
numbers, truths, then 0 for (), 1 for (B,), 2 for (B, C), k for (B, 1), c for (C,), q for (B, B), d for (C, C); a letter
alone takes any shape, T any tensor, N a number of Python. ``_`` tells slots of one kind apart. ``{n}`` is a class and
``{f}`` a float.
"""

STATEMENTS = """
{v} = {F}.clone()
{v} = {T}.clone()
{v} = {T}.detach()
{v} = {F}.detach().clone()
{v} = {T}.contiguous()
{v} = {T}.data
{v} = {T}.double()
{v} = {T}.to(torch.float64)
{v} = {T}.to(z)
{v} = {T}.type_as(z)
{v} = {I}.float()
{v} = {F}.round().long()
{v} = {T}.bool()
{v} = {M}.long()
{v} = {M}.double()
{v} = ~{M}
{v} = {M1} & {M1_}
{v} = {M2} | {M2_}
{v} = {I1} == {n}
{v} = {I1} != {n}
{v} = {I1} == {I1_}
{v} = {I1}[:, None] == {I1_}[None, :]
{v} = {F} > {f}
{v} = {F1} > {F1_}
{v} = {F2} >= {F2_}
{v} = torch.isin({I1}, torch.tensor([0, {n}]))
{v} = torch.eq({I1}, {n})
{v} = {I1}.eq({n}).double()
{v} = {I1} + {n}
{v} = ({I1} + {n}) % C
{v} = (C - 1 - {I1}).clamp(0, C - 1)
{v} = {Ik}.squeeze(1)
{v} = {I1}.unsqueeze(1)
{v} = {F1}[:, None]
{v} = {Fk}.flatten()
{v} = {Fk}[:, 0]
{v} = F.one_hot({I1}, C)
{v} = F.one_hot({I1}, C).double()
{v} = F.one_hot({I1}.clamp(0, C - 1), num_classes=C).to({F2})
{v} = torch.eye(C, dtype=torch.float64)[{I1}]
{v} = torch.eye(C, dtype=torch.float64)[{Ik}].squeeze(1)
{v} = torch.zeros(B, C, dtype=torch.float64).scatter(1, {I1}[:, None], {f})
{v} = torch.zeros_like({F2}).scatter_(1, {I1}[:, None], 1.0)
{v} = torch.zeros_like(z).scatter_(1, {Ik}, {f})
{v} = torch.zeros(B, C, dtype=torch.float64).scatter_add(1, {I1}[:, None], {F1}[:, None])
{v} = torch.zeros(C, dtype=torch.float64).scatter_add_(0, {I1}, {F1})
{v} = torch.zeros(C, dtype=torch.float64).index_add(0, {I1}, {F1})
{v} = torch.zeros(C, C, dtype=torch.float64).index_add_(0, {I1}, {F2})
{v} = torch.zeros(C, dtype=torch.float64).index_put(({I1},), {F1}, accumulate=True)
{v} = torch.bincount({I1}, minlength=C).double()
{v} = torch.bincount({I1}, weights={F1}.detach(), minlength=C)
{v} = torch.histc({F1}.detach(), bins=3)
{v} = torch.full((B, C), {f}, dtype=torch.float64)
{v} = torch.zeros(B, C, dtype=torch.float64)
{v} = torch.ones(B, dtype=torch.float64)
{v} = torch.zeros_like({F2})
{v} = torch.empty_like({F1}).fill_({f})
{v} = torch.full_like({F1}, {f})
{v} = {F2}.new_zeros(B, C)
{v} = {F2}.new_full((B,), {f})
{v} = torch.arange(B)
{v} = {F2}[torch.arange(B), {I1}]
{v} = {F2}[range(B), {I1}]
{v} = {F2}[torch.arange(B), {I1}].neg()
{v} = {F2}.gather(1, {I1}[:, None]).squeeze(1)
{v} = {F2}.gather(1, {I1}.view(-1, 1))
{v} = {F2}.gather(1, {Ik})
{v} = torch.gather({F2}, 1, {I2})
{v} = torch.take_along_dim({F2}, {I1}[:, None], 1)
{v} = {F1}.gather(0, {I1})
{v} = {Fc}[{I1}]
{v} = {Fc}.take({I1})
{v} = {Fd}[{I1}]
{v} = {Fc}.index_select(0, {I1})
{v} = net.p[{I1}]
{v} = F.embedding({I1}, net.p)
{v} = net.p.index_select(0, {I1})
{v} = net.seen[{I1}]
{v} = net.bank[{I1}]
{v} = net.p.detach()[{I1}]
{v} = torch.stack([net.p[k] for k in range(C)])[{I1}]
{v} = {F2}.log_softmax(1)
{v} = {F2}.log_softmax(dim=-1)
{v} = F.log_softmax({F2}, dim=1)
{v} = {F2}.softmax(1)
{v} = {F2}.softmax(-1).detach()
{v} = {F}.sigmoid()
{v} = F.logsigmoid({F})
{v} = {F}.tanh()
{v} = {F}.exp().clamp(max=10.0)
{v} = {F}.abs().log1p()
{v} = {F}.square()
{v} = {F}.relu()
{v} = F.softplus({F})
{v} = F.gelu({F})
{v} = {F}.clamp(-1.0, 1.0)
{v} = {F}.clamp(min={f})
{v} = torch.maximum({F1}, {F1_})
{v} = torch.minimum({F2}, {F2_})
{v} = {F2} + {F2_}
{v} = {F2} * {F2_}
{v} = {F2} - {F2_}
{v} = {F1} + {F1_}
{v} = {F1} * {F1_}
{v} = {F1} / ({F1_}.abs() + 1)
{v} = {F2} * {F1}[:, None]
{v} = {F2} + {Fk}
{v} = {F2} * {Fc}
{v} = {F2} / ({Fc}.abs() + 0.5)
{v} = {F0} * {F1}
{v} = {F0} + {F0_}
{v} = {F0} * {F0_}
{v} = {F0} / ({F0_}.abs() + 0.5)
{v} = {F2} * {M2}
{v} = {F1} * {M1}
{v} = {F2} * {I2}
{v} = {F1} * {I1}
{v} = 1 - {F}
{v} = {f} * {F} + {f_}
{v} = ({f} - {F}).abs() ** 1.5
{v} = {F} ** 2
{v} = (1 - {F1}.exp()) ** 2 * {F1_}
{v} = torch.lerp({F2}, {F2_}, {f})
{v} = torch.addcmul({F1}, {F1_}, {F1__}, value={f})
{v} = torch.where({M1}, {F1}, {F1_})
{v} = torch.where({M2}, {F2}, {F2_})
{v} = torch.where({M2}, {F2}, {f})
{v} = torch.where({M1}, {F1}, torch.zeros_like({F1}))
{v} = torch.where({M1}[:, None], {F2}, {F2_})
{v} = {F2}.masked_fill({M2}, {f})
{v} = {F1}.masked_fill({M1}, {f})
{v} = {F1}[{M1}]
{v} = {F2}[{M1}]
{v} = {F2}[{M2}]
{v} = {F1}[{M1}].sum()
{v} = {F2}[{M1}].sum(0)
{v} = {F2}[{M2}].sum() / {M2}.sum().clamp(min=1)
{v} = {F1}.masked_select({M1}).sum()
{v} = torch.masked_select({F2}, {M2}).pow(2).sum()
{v} = {F1}[{M1}.nonzero().squeeze(1)].sum()
{v} = {M1}.nonzero(as_tuple=True)[0]
{v} = {F1}[torch.where({M1})[0]].sum()
{v} = torch.masked.mean({F1}, mask={M1})
{v} = {F}.sum()
{v} = {F}.mean()
{v} = {F2}.sum(1)
{v} = {F2}.sum(0)
{v} = {F2}.mean(0)
{v} = {F2}.mean(1, keepdim=True)
{v} = {F2}.sum(dim=1, keepdim=True)
{v} = {F2}.max(1).values
{v} = {F2}.max(dim=1)[0]
{v} = {F2}.amax(1)
{v} = {F1}.max()
{v} = {F1}.min()
{v} = {F2}.min(0).values
{v} = {F2}.argmax(1)
{v} = {F2}.logsumexp(1)
{v} = torch.logsumexp({F2}, dim=0)
{v} = {F1}.std()
{v} = {F2}.var(1, unbiased=False)
{v} = {F1}.norm()
{v} = {F2}.norm(dim=1)
{v} = {F1}.prod()
{v} = {F1}.median()
{v} = {F1}.quantile(0.5)
{v} = {M}.sum()
{v} = {M1}.double().mean()
{v} = {M2}.any(1)
{v} = {M2}.all(0)
{v} = {I1}.sum()
{v} = {I1}.max()
{v} = {F1}.cumsum(0)
{v} = {F2}.cumsum(1)
{v} = {I1}.cumsum(0)
{v} = {F1}.cumprod(0)
{v} = {F1}.logcumsumexp(0)
{v} = {F1}.sort().values
{v} = {F1}.sort(descending=True)[0]
{v} = {F2}.sort(1)[1]
{v} = {F1}.argsort()
{v} = {I1}.argsort(stable=True)
{v} = {F1}[{I1}.argsort(stable=True)]
{v} = {F1}.topk(3).values
{v} = {F1}.topk(2)[0].mean()
{v} = {F2}.topk(2, dim=1).values.sum(1)
{v} = {F1}.kthvalue(2).values
{v} = {F1}.unique().sum()
{v} = {I1}.unique().numel() * {F0}
{v} = {F2}.t()
{v} = {F2}.transpose(0, 1)
{v} = {F2}.view(-1)
{v} = {F2}.reshape(C, B)
{v} = {F2}.view(B, 1, C)
{v} = {F2}.flatten()
{v} = {F1}.view(-1, 1)
{v} = {F1}.unsqueeze(0)
{v} = {F1}.expand(B, B)
{v} = {Fk}.expand(B, C)
{v} = {Fk}.expand_as({F2})
{v} = {F1}.repeat(2)
{v} = {F1}.repeat_interleave(2)
{v} = {F2}.roll(1, 0)
{v} = {F1}.flip(0)
{v} = {F2}[:, {n}]
{v} = {F2}[{n}]
{v} = {F2}[..., {n}]
{v} = {F2}[1:]
{v} = {F1}[:3]
{v} = {F2}[:, [0, 2]]
{v} = {F2}.narrow(1, 0, 2)
{v} = {F2}.select(1, {n})
{v} = {F2}.chunk(2)[0].sum(0)
{v} = {F2}.split(1, dim=1)[{n}]
{v} = {F2}.unbind(1)[{n}]
{v} = {F2}.diagonal().sum()
{v} = torch.cat([{F2}, {F2_}])
{v} = torch.cat([{F2}, {Fk}], 1)
{v} = torch.stack([{F1}, {F1_}])
{v} = torch.stack([{F1}, {F1_}, {F1__}], 1)
{v} = torch.cat([{F1}, {F1_}]).mean()
{v} = torch.stack([{F0}, {F0_}]).max()
{v} = {F2} @ {F2_}.t()
{v} = {F2} @ net.p
{v} = net.p @ {F2}.t()
{v} = {F2}.t() @ {F2_}
{v} = {F1} @ {F2}
{v} = {F2} @ {Fc}
{v} = {F1}.dot({F1_})
{v} = torch.outer({F1}, {F1_})
{v} = {F2}[F.one_hot({I1}, C).bool()]
{v} = {F2}[~F.one_hot({I1}, C).bool()].view(B, -1)
{v} = torch.masked_select({F2}, F.one_hot({I1}, C) == 1)
{v} = torch.gather(index={I1}[:, None], dim=1, input={F2})
{v} = torch.index_select(input=net.p, dim=0, index={I1})
{v} = torch.zeros_like(z).scatter_(dim=1, index={I1}[:, None], value={f})
{v} = torch.distributions.Poisson({F2}.abs() + 0.1).log_prob({I1}.abs()[:, None])
{v} = {M1}.unsqueeze_(1).double()
{v} = torch.einsum('bc,bc->b', {F2}, {F2_})
{v} = torch.einsum('bc,cd->bd', {F2}, {Fd})
{v} = torch.einsum('b,b->', {F1}, {F1_})
{v} = torch.einsum('bc,dc->bd', {F2}, {F2_})
{v} = torch.bmm({F2}[:, None], {F2_}[:, :, None]).flatten()
{v} = torch.cdist({F2}, {F2_}).square()
{v} = F.cosine_similarity({F2}, {F2_})
{v} = F.normalize({F2}, dim=1)
{v} = F.linear({F2}, net.p)
{v} = F.pairwise_distance({F2}, {F2_})
{v} = {Fq}.triu(1).sum()
{v} = {Fq}.masked_fill(torch.eye(B, dtype=torch.bool), 0.0)
{v} = {Fq}.fill_diagonal_(0.0)
{v} = ({Fq} * {Mq}).sum(1) / {Mq}.sum(1).clamp(min=1)
{v} = ({F2} * {M2}).sum() / {M2}.sum().clamp(min=1)
{v} = ({F1} * {F1_}).sum() / {F1_}.sum().abs().clamp(min=0.1)
{v} = 2 * ({F2} * {F2_}).sum() / ({F2} + {F2_}).abs().sum().add(1)
{v} = F.cross_entropy({F2}, {I1})
{v} = F.cross_entropy({F2}, {I1}, reduction='none')
{v} = F.cross_entropy({F2}, {I1}, label_smoothing=0.1)
{v} = F.cross_entropy({F2}, {I1}, weight={Fc}.detach().abs() + 0.1)
{v} = F.cross_entropy({F2}, {I1}, weight=net.seen + 0.1, reduction='sum')
{v} = F.cross_entropy({F2}, {I1}, ignore_index={n}, reduction='sum')
{v} = F.cross_entropy({F2}, {I1}, ignore_index={n}, reduction='none')
{v} = F.cross_entropy({F2}, {F2_}.detach().softmax(1))
{v} = F.cross_entropy(input={F2}, target={I1})
{v} = nn.CrossEntropyLoss(reduction='none')({F2}, {I1})
{v} = torch.exp(-F.cross_entropy({F2}, {I1}))
{v} = F.nll_loss({F2}.log_softmax(1), {I1})
{v} = F.nll_loss({F2}.log_softmax(1), {I1}, reduction='none')
{v} = F.binary_cross_entropy_with_logits({F1}, {M1}.double())
{v} = F.binary_cross_entropy_with_logits({F2}, {M2}.double(), reduction='none')
{v} = F.binary_cross_entropy_with_logits({F2}, F.one_hot({I1}, C).double())
{v} = F.binary_cross_entropy({F1}.sigmoid(), {M1}.double(), reduction='none')
{v} = F.mse_loss({F2}, {F2_}.detach())
{v} = F.mse_loss({F1}, {F1_}.detach(), reduction='none')
{v} = F.mse_loss({F1}, {F1_}.detach(), reduction='sum')
{v} = F.l1_loss({F1}, {F1_})
{v} = F.smooth_l1_loss({F1}, {F1_}, reduction='none')
{v} = F.huber_loss({F1}, {F1_}, delta=0.5)
{v} = F.kl_div({F2}.log_softmax(1), {F2_}.softmax(1), reduction='batchmean')
{v} = F.kl_div({F2}.log_softmax(1), {F2_}.softmax(1), reduction='none').sum(1)
{v} = F.multi_margin_loss({F2}, {I1})
{v} = F.multi_margin_loss({F2}, {I1}, reduction='none')
{v} = F.margin_ranking_loss({F1}, {F1_}, {M1}.double() * 2 - 1)
{v} = F.soft_margin_loss({F1}, {M1}.double() * 2 - 1)
{v} = F.hinge_embedding_loss({F1}, {M1}.double() * 2 - 1, reduction='none')
{v} = F.poisson_nll_loss({F1}, {I1}.double())
{v} = F.gaussian_nll_loss({F1}, {F1_}.detach(), {F1__}.abs() + 0.1)
{v} = F.triplet_margin_loss({F2}, {F2_}, {F2__})
{v} = F.cosine_embedding_loss({F2}, {F2_}, {M1}.double() * 2 - 1)
{v} = net.criterion({F2}, {I1})
{v} = interpolate_loss(lambda p, t: (p * (2.0 if t.flatten()[0].item() == 1 else 1.0)).mean())({F2}, {I1})
{v} = torch.distributions.Categorical(logits={F2}).log_prob({I1})
{v} = torch.distributions.Normal({F1}, 1.0).log_prob({F1_})
{v} = F.dropout({F2}, 0.5)
{v} = F.dropout({F1}, 0.3)
{v} = {F2} + 0.1 * torch.randn_like({F2})
{v} = torch.bernoulli({F1}.detach().sigmoid())
{v} = torch.rand(B, C, dtype=torch.float64)
{v} = {F1}[torch.randperm(B)]
{v} = torch.nan_to_num({F})
{v} = {F}.isnan()
{v} = F.layer_norm({F2}, (C,))
{v} = F.batch_norm({F2}, None, None, training=True)
{v} = F.batch_norm({F2}, net.seen, torch.ones(C, dtype=torch.float64), training=True)
{v} = F.pad({F2}, (1, 1)).sum(1)
{v} = torch.sign({F})
{v} = {F}.round()
{v} = torch.bucketize({F1}.detach(), torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64))
{v} = torch.clamp({F1}, min={F1_} - 1, max={F1_} + 1)
{v} = {M}.sum().item()
{v} = {I1}.sum().item()
{v} = {F0}.item()
{v} = {F1}.max().item()
{v} = {I1}[0].item()
{v} = len({T})
{v} = {T}.numel()
{v} = {F}.size(0)
{v} = max({N}, 1)
{v} = {N} + 1
{v} = {N} / B
{v} = {N} * {N_}
{v} = float({N})
{v} = int({N})
{v} = abs({N})
{v} = round({N})
{v} = math.sqrt(abs({N}))
{v} = np.log1p(abs({N}))
{v} = np.sqrt({N} ** 2 + 1)
{v} = np.log1p({I1}.sum().item())
{v} = np.exp(-{M1}.sum().item())
{v} = math.floor({N})
{v} = {N} if {N_} > 2 else 0.5
{v} = min({N}, {N_})
{v} = sum([{N}, 1])
{v} = {F} / (abs({N}) + 1)
{v} = {F} * {N}
{v} = {N} * {F}
{v} = {N} - {F}
{v} = {F} ** (1 + abs({N}) % 2)
{v} = {F}.add({N}, alpha=0.5)
{v} = {F}.clamp(max={N})
{v} = torch.tensor({N})
{v} = torch.tensor(float({N}), dtype=torch.float64)
{v} = torch.full((B,), {N}, dtype=torch.float64)
{v} = {F1}.new_tensor({N})
{v} = {F1}.masked_fill({M1}, {N})
{v} = torch.tensor([{N}, 1.0], dtype=torch.float64).sum()
{v} = torch.arange({N})
{v} = {F1}[:{N}]
{v} = {F1}[{I0}]
{v} = {F2}[{N} % B]
{v} = torch.tensor({I1}.tolist())
{v} = torch.as_tensor({I1})
{v} = torch.tensor({F1})
{v} = torch.from_numpy({I1}.numpy())
{v} = torch.tensor({I1}.numpy())
{v} = torch.from_numpy({F1}.detach().numpy())
{v} = torch.from_numpy(np.asarray({I1}))
{v} = torch.tensor([float(k) for k in {I1}], dtype=torch.float64)
{v} = torch.tensor([k.item() for k in {F1}], dtype=torch.float64)
{v} = torch.stack([k for k in {F1}])
{v} = torch.stack([{F2}[i, {I1}[i]] for i in range(B)])
{v} = sum(p[t] for p, t in zip({F2}, {I1}))
{v} = torch.stack([{F1}[{I1} == k].sum() for k in range(C)])
{v} = sum({F1}[{I1} == k].sum() ** 2 for k in range(C))
{v} = sum({F1}[{I1} == k].mean() for k in {I1}.unique())
{v} = sum({F1}[{I1} == k].mean() for k in range(C) if ({I1} == k).any())
{v} = torch.stack([{F2}[k] * (k + 1) for k in range(len({I1}))]).sum(0)
{v} = {F1} if {F1}.shape[0] > 2 else {F1_}
{v} = {F1} if {M1}.any() else {F1_}
{v} = {F1} if {M1}.all() else {F1_}
{v} = {F1} if {I1}[0] == {n} else {F1_}
{v} = {F1} if {F0} > 0 else {F1_}
{v} = {F1} if torch.is_tensor({I1}) else {F1_}
{v} = {F1} if isinstance({I1}, Tensor) else {F1_}
{v} = {F1} if {T}.dtype == torch.int64 else {F1_}
{v} = {F1} if {T}.dim() == 1 else {F1_}
{v} = {F1} if {I1}.type() == 'torch.LongTensor' else {F1_}
{v} = {F1} if {I1}.tolist()[0] == {n} else {F1_}
{v} = {F1} if torch.equal({I1}, {I1_}) else {F1_}
{v} = {F1} if torch.allclose({F1}, {F1_}) else {F1_}
{v} = {F1} if {n} in {I1} else {F1_}
{v} = {F1} if {T}.requires_grad else {F1_}
{v} = {F1} if {T}.is_floating_point() else {F1_}
{v} = {F1} if str({I0}) == 'tensor({n})' else {F1_}
{v} = {F1} if {I0} else {F1_}
{v} = {F1} if not {M0} else {F1_}
if {M1}.any(): {v} = {F1} * 2
if {N} > 1: {v} = {F1} * {f}
for i in range(B): {v} = {F2}[i, {I1}[i]] * {f}
for i, t in enumerate({I1}): {F2}[i, t] += {f}
for k in range(C): {Fc}[k] = ({I1} == k).sum()
for k in range(C): {Fc}[k] += {F1}[{I1} == k].sum()
for k in range(C): {F1}[{I1} == k] = {f}
for k in range(C): {F1}[{I1} == k] *= {Fc}[k]
{F2}[torch.arange(B), {I1}] = {f}
{F2}[torch.arange(B), {I1}] += {f}
{F2}[torch.arange(B), {I1}] = {F1}
{F2}[range(B), {I1}] -= {F1}
{F2}[{M1}] = {f}
{F2}[{M2}] = {f}
{F1}[{M1}] = {f}
{F1}[{M1}] *= {f}
{F1}[{M1}] = {F1_}[{M1}]
{F2}[{M2}] += {F2_}[{M2}]
{F2}[:, {n}] = {F1}
{F2}[:, {n}] += {f}
{F2}[{n}] = {Fc}
{F1}[0] = {F0}
{F1}[1:] += {F1}[:-1].clone()
{F1}[{n}] = {f}
{F1}[{I0}] = {f}
{I1}[{M1}] = {n}
{I1}[{I1_} == {n}] = 0
{I1}[0] = {n}
{M1}[0] = True
{M1} &= {M1_}
{F2}.scatter_(1, {I1}[:, None], {f})
{F2}.scatter_(1, {Ik}, 1.0)
{F2}.scatter_add_(1, {I1}[:, None], {Fk})
{Fc}.scatter_add_(0, {I1}, {F1})
{Fc}.index_add_(0, {I1}, {F1})
{Fc}.index_fill_(0, {I1}, {f})
{Fc}.index_put_(({I1},), {F1}, accumulate=True)
{Fd}.index_add_(0, {I1}, {F2})
{Fd}.index_copy_(0, {I1}, {F2})
{Fd}[{I1}] = {F2}
{Fc}[{I1}] += {f}
{Fc}[{I1}] = {F1}
{F1}.add_({F1_})
{F1}.mul_({F1_})
{F2}.add_({F2_})
{F2}.mul_({Fk})
{F2} += {F2_}
{F1} -= {F1_}
{F1} *= {f}
{F1} /= {F1_}.abs() + 1
{F2} *= {M2}
{F0} += {F0_}
{F1}.copy_({F1_})
{F2}.copy_({F2_})
{F2}.masked_fill_({M2}, {f})
{F1}.masked_fill_({M1}, {f})
{F1}.masked_scatter_({M1}, {F1_})
{F1}.clamp_(min={f})
{F1}.clamp_({f})
{F1}.exp_()
{F1}.zero_()
{F1}.fill_({F0})
{F2}.fill_({f})
{F1}.sub_({F1_}, alpha={f})
{F1}.lerp_({F1_}, {f})
{F2}.addmm_({F2_}, net.p)
{F1}.addcmul_({F1_}, {F1__})
{F2}.div_({F2}.sum(1, keepdim=True).abs() + 1)
{F2}.t_()
{F1}.unsqueeze_(1)
{F1}.requires_grad_()
{F1}.detach_()
{F1}.data.mul_({f})
{F1}.data[{M1}] = {f}
{F1}.data = {F1_}.data
{F1}.set_({F1_})
{F1}.swapaxes_(0, 0)
{F2}.resize_(B, C)
{F1}.normal_()
{F1}.uniform_()
{F2}.bernoulli_(0.5)
{F2}[:, 0].mul_({f})
{F2}[:, 0].add_({F1})
{F2}.view(-1)[0] = {f}
{F2}.view(-1)[::2] *= {f}
{F2}.select(1, {n}).copy_({F1})
{F2}.t()[{n}] = {F1}
{F2}.diagonal().add_({f})
{F2}.unbind(1)[{n}].add_({F1})
{F2}.detach()[torch.arange(B), {I1}] = {f}
{F2}.data.scatter_(1, {I1}[:, None], {f})
torch.add({F1}, {F1_}, out={F1__})
torch.mul({F2}, {F2_}, out={F2__})
torch.sum({F2}, 1, out={F1})
torch.exp({F1}, out={F1})
torch.max({F2}, 1, out=({F1}, {I1}))
torch.index_select({F2}, 0, {I1}, out={F2_})
torch._foreach_add_([{F1}, {F2}], {f})
torch._foreach_mul_([{F1}, {F2}], [{F1_}, {F2_}])
net.seen[{I1}] += 1
net.seen.index_add_(0, {I1}, torch.ones(B, dtype=torch.float64))
net.seen.mul_(0.9).add_(F.one_hot({I1}, C).sum(0), alpha=0.1)
net.seen.copy_(torch.bincount({I1}, minlength=C))
net.seen = 0.9 * net.seen + 0.1 * torch.bincount({I1}, minlength=C)
net.seen.add_({Fc}.detach())
net.seen[{n}] = {F0}.detach()
net.bank[{I1}] = {F2}.detach()
net.bank.index_copy_(0, {I1}, {F2}.detach())
net.bank.scatter_(0, {Ik}.expand(B, C), {F2}.detach())
net.bank = torch.cat([{F2}.detach(), net.bank])[:C]
net.bank = F.normalize(net.bank + {Fd}.detach())
net.bank.mul_({f})
net.bank.lerp_({Fd}.detach(), 0.1)
{v} = net.seen
{v} = net.seen.clone()
{v} = net.seen / net.seen.sum()
{v} = {F2} * net.seen
{v} = {F2} @ net.bank.t()
{v} = {F2}.numpy() if not {F2}.requires_grad else {F2}
{v} = torch.from_numpy({F2}.detach().numpy()).add(1)
{v} = torch.from_numpy({F1}.detach().cpu().numpy() * 2)
{v} = torch.as_tensor({F1}.detach().numpy())
{v} = torch.from_dlpack({F1}.detach())
{v} = torch.autograd.grad({F0}, z, retain_graph=True)[0].detach()
{v} = torch.autograd.grad({F0}, z, create_graph=True)[0].square().sum(1)
{v} = Square.apply({F1})
{v} = Square.apply({F1}) * {F1_}
{v} = checkpoint(lambda a: a.tanh() * 2, {F2}, use_reentrant=False)
{v} = checkpoint(lambda a, t: a.log_softmax(1).gather(1, t[:, None]), {F2}, {I1}, use_reentrant=False)
{v} = torch.vmap(lambda a, t: a[t])({F2}, {I1})
{v} = torch.vmap(lambda a: a.square().sum())({F2})
{v} = torch.func.grad(lambda a: F.cross_entropy(a, {I1}))({F2}.detach())
{v} = copy.copy({T})
{v} = copy.deepcopy({F}.detach())
{v} = {T}.view({T}.shape)
{v} = {T}.reshape({T}.shape)
{v} = {F1}.as_strided((3,), (1,))
{v} = {F2}.as_subclass(Tensor)
{v} = {F1}.detach().apply_(lambda k: k + 1)
{v} = {T}.alias() if hasattr({T}, 'alias') else {T}
{v} = torch.broadcast_tensors({F2}, {Fk})[1]
{v} = torch.broadcast_to({Fk}, (B, C))
{v} = torch.tril_indices(2, 2).sum() * {F0}
{v} = torch.nn.functional.relu({F}, inplace=False)
{v} = F.relu({F1}.clone(), inplace=True)
{v} = torch.sparse_coo_tensor({I1}[None], {F1}.detach(), (C,)).to_dense()
{v} = torch.tensordot({F2}, {Fd}, 1)
{v} = torch.linalg.vector_norm({F2}, dim=1)
{v} = torch.linalg.norm({F1})
{v} = torch.trapezoid({F1})
{v} = torch.searchsorted({Fc}.detach().sort().values, {F1}.detach())
{v} = torch.count_nonzero({M1})
{v} = torch.diff({F1})
{v} = torch.cov({F2}.t())
{v} = torch.block_diag({F2}, {F2_}).sum()
{v} = torch.meshgrid({F1}, {F1_}, indexing='ij')[0]
{v} = torch.cartesian_prod({F1}, {F1_}).sum(1)
{v} = torch.combinations({F1}).prod(1).sum()
{v} = {F2}.unflatten(0, (1, B)).sum(0)
{v} = torch.scatter_reduce(torch.zeros(C, dtype=torch.float64), 0, {I1}, {F1}, 'sum')
{v} = torch.zeros(C, dtype=torch.float64).scatter_reduce_(0, {I1}, {F1}, 'amax', include_self=False)
{v} = torch.segment_reduce({F1}, 'sum', lengths=torch.tensor([2, 3]))
{v} = torch.unique({I1}, return_counts=True)[1].sum() * {F0}
{v} = torch.unique({I1}, return_inverse=True)[1]
{v} = torch.unique_consecutive({I1}).double().mean()
{v} = {F2}.index_fill(1, torch.tensor([{n}]), {f})
{v} = {F2}.index_put((torch.arange(B), {I1}), {F1})
{v} = torch.Tensor.add({F1}, {F1_})
{v} = torch.ops.aten.mul({F1}, {F1_})
{v} = torch.special.expit({F})
{v} = torch.special.xlogy({F1}.abs(), {F1_}.abs() + 0.1)
""".strip().splitlines()
