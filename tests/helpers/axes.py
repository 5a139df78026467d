"""The axes: what each switch does, which rows of which paper it makes, and the test that proves it.

`docs/axes.md` is made from this list by `test_axes_document.py`. A figure in parentheses is the paper's linear
top-1 on ImageNet in per cent, for that row. Keys of `method.` are written without it.
"""

from __future__ import annotations

from typing import NamedTuple

SIMSIAM = "[SimSiam](https://arxiv.org/abs/2011.10566)"
BYOL = "[BYOL](https://arxiv.org/abs/2006.07733)"
SIMCLR = "[SimCLR](https://arxiv.org/abs/2002.05709)"
MOCO = "[MoCo](https://arxiv.org/abs/1911.05722)"
MOCO2 = "[MoCo v2](https://arxiv.org/abs/2003.04297)"
SWAV = "[SwAV](https://arxiv.org/abs/2006.09882)"
ZHANG = "[Zhang et al.](https://arxiv.org/abs/2203.16262)"
TIAN = "[Tian et al.](https://arxiv.org/abs/2102.06810)"
MOCO3 = "[MoCo v3](https://arxiv.org/abs/2104.02057)"
NNCLR = "[NNCLR](https://arxiv.org/abs/2104.14548)"
DIRECTCOPY = "[DirectCopy](https://arxiv.org/abs/2110.04947)"
UNIGRAD = "[UniGrad](https://arxiv.org/abs/2112.05141)"
DINO = "[DINO](https://arxiv.org/abs/2104.14294)"
RESSL = "[ReSSL](https://arxiv.org/abs/2107.09282)"
GOYAL = "[Goyal et al.](https://arxiv.org/abs/1706.02677)"


class Axis(NamedTuple):
    """Keys that belong together, and the tests that prove them."""

    keys: tuple[str, ...]
    values: str
    what: str
    source: str  # paper, section, and the table rows that it reproduces
    tests: tuple[str, ...]  # file::function


AXES: dict[str, tuple[Axis, ...]] = {
    "The equation": (
        Axis(
            ("method.stop_gradient",),
            "true, false",
            "whether the target is a constant, or the gradient reaches it as well",
            f"{SIMSIAM} Fig. 2 (67.7; false: 0.1), Sec. 6.2 (SimCLR with predictor: false 66.4, true 66.0; SwAV: false "
            "diverges)",
            (
                "test_equation.py::test_stop_gradient_decides_whether_the_target_branch_gets_any",
                "test_losses.py::test_simsiam",
                "test_losses.py::test_swav_without_stop_gradient_differentiates_sinkhorn",
            ),
        ),
        Axis(
            ("method.similarity", "method.temperature"),
            "cosine, dot, cross_entropy, info_nce, gradient, relational; above 0",
            "D: negative cosine; negative dot product of p/|p| and the target as it is; cross-entropy of softmaxes "
            "over channels or, with prototypes, of codes; InfoNCE; UniGrad's gradient, stated; cross-entropy of the "
            "softmaxes of both sides' cosines with a queue. The temperature divides the logits of cross_entropy, "
            "info_nce and relational",
            f"{SIMSIAM} Sec. 4.5 (cosine 68.1, cross-entropy 63.2); {SIMCLR} Table 5; {MOCO2} temperature; {UNIGRAD}; "
            f"{RESSL} Eq. 5",
            (
                "test_unified_gradient.py::test_unigrad_is_the_form_itself",
                "test_extra_gradient.py::test_a_plain_dot_product_reads_the_targets_length",
                "test_losses.py::test_cross_entropy_over_channels",
                "test_losses.py::test_simclr_is_nt_xent",
                "test_losses.py::test_moco_against_a_loop_over_the_queue",
                "test_distributions.py::test_ressls_steps_are_the_codes",
            ),
        ),
        Axis(
            ("method.sharpening",),
            "temperature above 0, null; warmup_temperature above 0, null; warmup_epochs from 0",
            "temperature of the targets' softmax in cross_entropy without codes and in relational, null: the "
            "predictions'; during a warmup it moves once per epoch",
            f"{DINO} Sec. 3.1; {RESSL} Eq. 4",
            (
                "test_distributions.py::test_dinos_steps_are_the_papers",
                "test_distributions.py::test_ressls_steps_are_the_codes",
                "test_distributions.py::test_the_temperature_warms_up_once_per_epoch",
            ),
        ),
        Axis(
            ("method.symmetric", "method.pairs_per_image"),
            "true, false; from 1",
            "whether each view predicts the other, or the first the second alone; number of pairs of views of an image "
            "per step",
            f"{SIMSIAM} Sec. 4.6 (symmetric 68.1, asymmetric 64.8, asymmetric with 2 pairs 67.3); MoCo v2 symmetric: "
            "Table 4",
            (
                "test_losses.py::test_simsiam",
                "test_axes.py::test_two_pairs_per_image_are_the_mean_of_two_asymmetric_losses",
            ),
        ),
        Axis(
            ("method.joint_batch",),
            "true, false",
            "whether all views pass the encoder as one batch, with common BN statistics, or each separately. Crops "
            "of another size pass the backbone separately and the projector together",
            f"{SIMCLR} and {SWAV} official code (joint); {SIMSIAM}, {BYOL}, {MOCO} (separate)",
            (
                "test_axes.py::test_joint_views_share_their_statistics",
                "test_step.py::test_steps_are_the_papers",
            ),
        ),
        Axis(
            ("method.alternation_steps",),
            "from 1, epoch",
            "number of SGD steps for which the weights behind the targets are fixed. The paper computes the targets of "
            "k steps in advance and stores them; here a copy of the encoder computes the same targets step by step, in "
            "memory that does not grow with k (one encoder, also in every checkpoint)",
            f"{SIMSIAM} Sec. 5.2 (1: 68.1, 10: 68.7, 100: 68.9, epoch: 67.0)",
            (
                "test_axes.py::test_one_step_alternation_is_simsiam_to_the_bit",
                "test_axes.py::test_multi_step_alternation_is_that_of_cached_targets",
            ),
        ),
        Axis(
            ("method.target_views",),
            "from 2",
            "number of views, from the first, that are targets; further ones (SwAV's small crops) only predict",
            f"{SWAV} Eq. 6",
            ("test_equation.py::test_ordered_pairs", "test_losses.py::test_swav_against_loops_and_lightly"),
        ),
        Axis(
            ("method.loss_scale",),
            "above 0",
            "factor of the mean over pairs: 2 for a sum over both orders (the code of SimCLR and of FAIR's symmetric "
            "MoCo), 4 for a sum of 2 - 2 cos (BYOL). It multiplies the loss of an inverse predictor too, and no "
            "decorrelation",
            f"{BYOL} Eq. 2",
            (
                "test_losses.py::test_byol_sums_over_both_orders",
                "test_losses.py::test_simclrs_code_sums_over_both_directions",
                "test_losses.py::test_symmetric_mocos_code_sums_over_both_orders",
                "parts/test_placement.py::test_the_scale_of_the_loss_is_the_inverse_predictors_too",
                "test_decorrelation.py::test_the_scale_of_the_loss_is_not_the_regularisers",
            ),
        ),
    ),
    "Predictor": (
        Axis(
            ("method.predictor.kind", "method.predictor.trainable"),
            "mlp, linear, bias, identity, direct, optimal; true, false",
            "h. `bias` is z/|z| + b, b a vector that starts at 0; `direct` and `optimal` are W z, W set by the data. "
            "Not trainable: fixed at its random initialisation, or set alone",
            f"{SIMSIAM} Table 1 (mlp 67.7, identity 0.1, fixed random 1.5); {BYOL} (linear); {ZHANG} (bias)",
            (
                "test_equation.py::test_predictor_kinds",
                "test_axes.py::test_a_bias_is_the_least_predictor",
                "test_equation.py::test_a_fixed_predictor_does_not_move_and_still_passes_gradients",
            ),
        ),
        Axis(
            ("method.predictor.on",),
            "anchor, target, both",
            "where h stands: D(h(z_i), sg z_j); D(z_i, h(sg z_j)), which trains h and gives the encoder no gradient "
            "from the target; D(h(z_i), sg h(z_j))",
            f"{ZHANG} Fig. 1c and 2, Table 2 (mirror, symmetric predictor)",
            (
                "parts/test_placement.py::test_the_predictor_on_the_target_and_on_both_sides",
                "parts/test_placement.py::test_a_momentum_encoders_targets_pass_the_predictor_too",
                "parts/test_placement.py::test_codes_are_of_what_the_predictor_makes_where_it_stands_on_both_sides",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
        Axis(
            ("method.predictor.inverse",),
            "true, false",
            "with on=both, whether an inverse h_inv of h's architecture and with h's learning rate follows it on the "
            "target: D(h(z_i), sg h_inv(h(z_j))). D(h_inv(sg h(z_i)), sg z_i), a negative cosine averaged over the "
            "anchors' views, joins the mean over pairs and trains h_inv alone",
            f"{ZHANG} Fig. 3 (the loss of h_inv is our form)",
            (
                "parts/test_placement.py::test_the_inverse_predictor",
                "parts/test_placement.py::test_the_inverse_learns_to_undo_the_predictor",
                "training/test_kill.py::test_a_killed_run_continues_to_the_bit",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
        Axis(
            ("method.predictor.hidden_dim",),
            "from 1, null",
            "width of the hidden layer; null: a quarter of the projector's output",
            f"{SIMSIAM} Appendix B (d 256: 65.3, 512: 67.2, 1024: 67.5, 2048: 68.1)",
            ("test_axes.py::test_the_predictors_width_follows_at_a_quarter",),
        ),
        Axis(
            ("method.predictor.lr", "method.predictor.lr_multiplier", "method.projector.lr_multiplier"),
            "decay, constant; from 0",
            "whether the schedule leaves the predictor's rate at its peak; each head's multiple of the optimizer's "
            "rate",
            f"{SIMSIAM} Table 1 (decay 67.7, constant 68.1); {BYOL} Tables 21, 22 (without momentum encoder, predictor "
            "x1 5.5, x2 62.8, x10 66.6)",
            (
                "training/test_optim.py::test_constant_lr_predictor_keeps_the_peak_rate",
                "test_axes.py::test_lr_multipliers_move_a_head_so_much_further",
            ),
        ),
    ),
    "Predictors of Tian et al.": (
        Axis(
            ("method.predictor.direct",),
            "power above 0, rho 0 to 1, eps from 0, shift -1 to 1, every from 1",
            "predictor.kind=direct: after every n-th step W is set to U diag(max(s - c, 0)^power + eps) U^T, s and U "
            "the eigenvalues, divided by the largest, and eigenvectors of F <- rho F + (1 - rho) E[z z^T] over all "
            "processes; power 1 without shift: F + eps I. Between settings W follows its gradient",
            f"{TIAN} Eq. 18, 19 (DirectPred), Tables 6 to 8 (STL-10: 77.86 against 75.06 of SGD; CIFAR-10: 85.21 "
            f"against 84.49), 9; {DIRECTCOPY} (power 1)",
            (
                "parts/test_predictors.py::test_the_correlation_against_a_loop_over_batches_views_and_images",
                "parts/test_predictors.py::test_directpred_is_the_root_of_the_correlation",
                "parts/test_predictors.py::test_directcopy_is_the_correlation_itself",
                "parts/test_predictors.py::test_powers_and_shifts_of_the_spectrum",
                "parts/test_predictors.py::test_between_settings_the_predictor_follows_its_gradient",
            ),
        ),
        Axis(
            ("method.predictor.optimal",),
            "rho 0 to 1, ridge above 0, every from 1",
            "predictor.kind=optimal: after every n-th step W is set to the least-squares solution for the pairs of z "
            "and its target, E[t z^T] (E[z z^T] + ridge)^-1",
            f"{TIAN} Table 1 (STL-10, every 1, 2, 3, 5 batches: 40.67, 35.29, 34.60, 35.63)",
            (
                "parts/test_predictors.py::test_the_optimal_predictor_is_that_of_least_squares",
                "parts/test_predictors.py::test_a_ridge_is_a_multiple_of_the_mean_eigenvalue",
            ),
        ),
        Axis(
            ("method.predictor.symmetric",),
            "true, false",
            "whether W = W^T is kept, by the mean of both after each step; of mlp the second layer is the transpose "
            "of the first",
            f"{TIAN} Table 3 (STL-10, linear, without moving average: true 36.62, false 72.85); ImageNet: true 0.1, "
            "false 68.1",
            (
                "parts/test_predictors.py::test_a_symmetric_linear_predictor_is_the_mean_of_a_free_one_and_its_transpose",
                "parts/test_predictors.py::test_the_second_layer_of_a_symmetric_mlp_is_the_transpose_of_the_first",
            ),
        ),
        Axis(
            ("method.predictor.weight_decay",),
            "from 0, null",
            "weight decay of the predictor's weights; null: the optimizer's",
            f"{TIAN} Table 5",
            ("parts/test_predictors.py::test_the_predictors_weight_decay_is_its_own",),
        ),
    ),
    "Heads and batch normalisation": (
        Axis(
            ("method.projector.layers", "method.projector.hidden_dim", "method.projector.output_dim"),
            "0 to 8; from 1",
            "depth and widths of the projector; 0 layers: the backbone's output itself",
            f"{SIMCLR} Fig. 8; {BYOL} Table 14; {SIMSIAM} Table C.1 (3 layers in SimCLR and SwAV)",
            ("parts/test_heads.py::test_projector_is_the_mlp_that_the_keys_say",),
        ),
        Axis(
            ("method.projector.activation",),
            "relu, gelu",
            "the function between the projector's layers",
            f"{DINO} Appendix C (gelu)",
            ("test_distributions.py::test_dinos_steps_are_the_papers",),
        ),
        Axis(
            (
                "method.projector.bn_hidden",
                "method.projector.bn_output",
                "method.predictor.bn_hidden",
                "method.predictor.bn_output",
                "method.projector.bias_output",
                "method.predictor.bias_output",
            ),
            "true, false",
            "BN after the hidden and the output layers of both heads; a bias in an output layer without BN. Without "
            "any BN the paper adds `optimizer.warmup_epochs=10 optimizer.warmup_from_batch=null`",
            f"{SIMSIAM} Table 3 (none 34.6, hidden only 67.4, default 68.1, all: unstable)",
            ("test_axes.py::test_bn_in_the_heads", "parts/test_heads.py::test_biases"),
        ),
        Axis(
            (
                "method.projector.bn_output_affine",
                "method.projector.bn_output_center",
                "method.predictor.bn_output_affine",
            ),
            "true, false",
            "whether the output BN scales and shifts, or (center: false) only scales, as in SimCLR's code",
            f"{SIMSIAM} Table 3 (without affine 68.2); {SIMCLR} and {MOCO3} official code",
            (
                "test_axes.py::test_output_bn_with_and_without_affine_and_centre",
                "test_axes.py::test_the_predictors_output_bn_without_affine",
            ),
        ),
        Axis(
            ("method.batch_norm", "method.momentum_encoder.shuffle_bn"),
            "sync, local; true, false",
            "over several processes: BN statistics of all images or of each process; the momentum encoder's batches "
            "shuffled among them",
            f"{SIMSIAM} Sec. 3 (sync); {BYOL} official code (sync); {MOCO} Sec. 3.3 (local, shuffled)",
            (
                "test_distributed.py::test_two_processes_equal_one",
                "parts/test_batchnorm.py::test_local_and_synchronised_statistics",
                "test_distributed.py::test_shuffled_keys_meet_the_statistics_of_others",
            ),
        ),
    ),
    "Backbone": (
        Axis(
            ("backbone.num_heads",),
            "from 1, null",
            "attention heads in each layer of a plain transformer; null: the model's own, 6 in timm's ViT-S",
            f"{MOCO3} official code (12 in its ViT-S)",
            (
                "backbone/test_attention.py::test_heads_are_those_of_the_configuration",
                "backbone/test_attention.py::test_refusals",
            ),
        ),
        Axis(
            ("backbone.freeze_patch_embedding",),
            "true, false",
            "whether the projection of a transformer's patches stays as it is initialised, in any method",
            f"{MOCO3} official code (--stop-grad-conv1, for transformers)",
            (
                "test_build.py::test_a_frozen_patch_embedding_stays_and_all_else_moves",
                "test_build.py::test_a_backbone_without_patches_is_refused",
            ),
        ),
    ),
    "Momentum encoder": (
        Axis(
            ("method.momentum_encoder.enabled",),
            "true, false",
            "whether a moving average of the encoder, with its own batch statistics, computes the targets",
            f"{SIMSIAM} Table 4; {BYOL} Table 5 (tau 0: 0.3)",
            (
                "test_equation.py::test_no_gradient_reaches_the_momentum_encoder",
                "test_equation.py::test_target_network_has_its_own_batch_statistics",
            ),
        ),
        Axis(
            ("method.momentum_encoder.decay", "method.momentum_encoder.schedule"),
            "0 to 1; constant, cosine",
            "tau: the fraction of its weights that it keeps in a step; cosine: from `decay` to 1. 0: the online "
            "encoder, 1: fixed at random",
            f"{BYOL} Table 5a (1: 18.8, .999: 69.8, .99: 72.5, .9: 68.4, 0: 0.3); {MOCO} momentum (0: fails, .9: 55.2, "
            ".99: 57.8, .999: 59.0, .9999: 58.9)",
            (
                "test_equation.py::test_momentum_encoder_follows_its_formula",
                "test_equation.py::test_decay_of_byol_rises_from_base_to_one",
                "test_axes.py::test_tau_0_is_no_momentum_encoder",
                "test_axes.py::test_tau_1_is_a_constant_random_target",
            ),
        ),
        Axis(
            ("method.momentum_encoder.prototypes",),
            "true, false",
            "whether the targets' prototypes are a moving average as well, or the predictions' own",
            f"{DINO} Algorithm 1 (true); {SWAV} (false)",
            (
                "test_distributions.py::test_dinos_steps_are_the_papers",
                "test_distributions.py::test_shared_prototypes_are_the_students",
                "test_distributed.py::test_two_processes_equal_one",
                "training/test_kill.py::test_a_killed_run_continues_to_the_bit",
            ),
        ),
    ),
    "Negatives and memory": (
        Axis(
            ("method.negatives", "method.queue.size", "method.memory.negatives"),
            "none, batch, keys, predictions, queue, memory_bank, correlation; from 1",
            "which keys InfoNCE pushes away. Of the batch, in all processes: targets of both views (batch) or of the "
            "positives' view (keys), or predictions, with which the target is then contrasted. The newest targets of "
            "earlier steps, or vectors drawn from a memory of all images. For similarity=gradient the correlation of "
            "all targets; for similarity=relational the queue that both sides are compared with. `queue.size` is that "
            "of assignment=nearest_neighbor's queue, too",
            f"{MOCO} Fig. 3 (queue of 65,536: 60.6, of 4,096: 59.0, memory bank of 65,536: 58.0); {SIMCLR} (batch); "
            f"{MOCO3} Algorithm 1 (keys); {NNCLR} (predictions)",
            (
                "test_losses.py::test_simclr_is_nt_xent",
                "parts/test_batch_contrast.py::test_mocov3_against_a_loop_over_the_keys",
                "parts/test_batch_contrast.py::test_nnclr_against_a_loop_over_queue_and_predictions",
                "parts/test_batch_contrast.py::test_nnclrs_other_direction_is_the_batchs_keys",
                "test_distributed.py::test_two_processes_equal_one",
                "test_equation.py::test_queue_takes_keys_in_after_both_terms_first_in_first_out",
                "test_equation.py::test_positives_are_never_among_the_queues_negatives",
                "test_axes.py::test_memory_bank_against_a_loop",
            ),
        ),
        Axis(
            ("method.unified",),
            "weight from 0, rho 0 to 1",
            "lambda and rho of similarity=gradient, the gradient -z_2 + lambda z_1 F with respect to a unit z_1, "
            "F <- rho F + (1 - rho) of the targets' E[z z^T] over views, batch and processes, before it is read. Each "
            "method's gradient is such a pull and a push, F in a form of its own, which the tests check for each",
            f"{UNIGRAD} (ResNet-50, 100 epochs, momentum encoder: 70.3)",
            (
                "test_unified_gradient.py::test_unigrads_steps_against_its_code",
                "test_unified_gradient.py::test_unigrad_is_the_form_itself",
                "test_unified_gradient.py::test_with_directpred_the_negative_term_is_the_correlation",
                "test_unified_gradient.py::test_asymmetric_methods",
                "test_unified_gradient.py::test_moco",
                "test_unified_gradient.py::test_simclr_gets_a_gradient_as_anchor_and_as_target",
                "test_unified_gradient.py::test_swav",
                "test_unified_gradient.py::test_barlow_twins",
            ),
        ),
        Axis(
            ("method.assignment", "method.memory.decay"),
            "identity, sinkhorn, centering, moving_average, memory, expectation, nearest_neighbor; 0 to 1",
            "T: the target itself; SwAV's codes; DINO's centred scores; m eta + (1 - m) z' with one vector eta per "
            "image; eta alone, the positive of a memory bank; the mean over `expectation_views`; or the nearest by "
            "cosine of `queue.size` earlier embeddings, one per image. A memory starts as random unit vectors and "
            "takes images x output_dim x 4 bytes, and a queue likewise",
            f"{SIMSIAM} Sec. 5.2 (moving average, m = 0.8, no predictor: 55.0); {MOCO} Fig. 2b; {ZHANG} Table 1; "
            f"{DINO} Eq. 4; {NNCLR}",
            (
                "test_distributions.py::test_dinos_steps_are_the_papers",
                "parts/test_batch_contrast.py::test_the_nearest_neighbour_is_a_constant_unit_vector_of_the_queue",
                "parts/test_batch_contrast.py::test_the_queue_takes_the_first_view_once_per_optimizer_step",
                "test_axes.py::test_moving_average_targets_against_a_loop",
                "test_axes.py::test_memory_is_moved_by_both_views_and_only_for_the_images_seen",
                "test_axes.py::test_memory_bank_against_a_loop",
            ),
        ),
    ),
    "Explicit expectation": (
        Axis(
            ("method.expectation_views",),
            "from 0",
            "with assignment=expectation: number of views of an image, beside the pair and with the settings of its "
            "first, whose mean z/|z| by the latest weights is the target of every anchor. They pass the encoder one "
            "after the other without gradient; the mean is not normalised again",
            f"{ZHANG} Table 1 (explicit expectation over augmentations); {SIMSIAM} Sec. 5.2",
            (
                "parts/test_expectation.py::test_the_target_is_the_mean_over_further_views",
                "parts/test_expectation.py::test_one_further_view_is_simsiams_target",
                "parts/test_expectation.py::test_further_views_are_made_as_the_first",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
    ),
    "Prototypes, Sinkhorn and centring": (
        Axis(
            ("method.prototypes.number", "method.prototypes.normalization"),
            "from 0; outside, gradient",
            "number of unit prototypes; normalised between steps, or in the forward pass with full gradient",
            f"{SWAV} official code (3,000); {SIMSIAM} Sec. 6.2 (by full gradient, 66.5); {DINO} (65,536, by gradient)",
            (
                "test_equation.py::test_prototypes_stay_on_the_sphere_and_are_frozen_at_first",
                "test_axes.py::test_prototypes_by_full_gradient_have_no_radial_one",
            ),
        ),
        Axis(
            ("method.prototypes.frozen_epochs",),
            "from 0",
            "epochs at the start without a gradient of the prototypes (fractions count)",
            f"{SWAV} and {DINO} official code (1 epoch)",
            ("test_equation.py::test_prototypes_stay_on_the_sphere_and_are_frozen_at_first",),
        ),
        Axis(
            ("method.sinkhorn.epsilon", "method.sinkhorn.iterations"),
            "above 0; from 1",
            "softness of the codes; number of normalisations of rows and columns, over the images of all processes",
            f"{SWAV} Sec. 3.1, Listing 1 (0.05; 3)",
            (
                "test_equation.py::test_sinkhorn_rows_and_columns",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
        Axis(
            ("method.sinkhorn.queue_size", "method.sinkhorn.queue_from_epoch"),
            "from 0",
            "earlier embeddings of each target view that join the batch once the queue is full; the first epoch that "
            "fills it",
            f"{SWAV} official code (batch 256: 3,840 from epoch 15)",
            ("test_axes.py::test_sinkhorns_queue_joins_once_full_from_its_epoch_on",),
        ),
        Axis(
            ("method.centering",),
            "decay 0 to 1",
            "with assignment=centering: m of the centre c <- m c + (1 - m) mean of the targets' scores, over views, "
            "batches of a step and processes; a target is its scores less c. 1: no centring",
            f"{DINO} Eq. 4 (0.9)",
            (
                "test_distributions.py::test_dinos_steps_are_the_papers",
                "test_distributions.py::test_a_centre_of_decay_1_is_none",
                "test_distributions.py::test_the_centre_is_over_all_batches_of_a_step",
                "test_distributed.py::test_two_processes_equal_one",
                "training/test_kill.py::test_a_killed_run_continues_to_the_bit",
            ),
        ),
    ),
    "Parts of the gradient": (
        Axis(
            ("method.extra_gradient",),
            "of: none, predictor, negative, anchor; basic, center, residual: true, false",
            "the target as the sum of those parts that are kept: the basic gradient, and the centre o_e and the "
            "residual r_e of the extra gradient G_e = o_e + r_e, o_e = mean of G_e over the images of all processes. "
            "predictor: P_j and G_e = Z_j - P_j; negative: Z_j and G_e = -Z_n, Z_n of the image half a batch further "
            "on; anchor: G_e = Z_i alone. With `similarity=dot`, as the sum is not renormalised",
            f"{ZHANG} Table 3 (negative), Table 4 (predictor), Conjecture 1 and Fig. 4 (anchor)",
            (
                "test_extra_gradient.py::test_parts_of_the_target_against_a_loop",
                "test_extra_gradient.py::test_all_parts_of_simsiam_are_simsiam",
                "test_extra_gradient.py::test_conjecture_1_on_free_embeddings",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
        Axis(
            ("method.decorrelation",),
            "weight: from 0; standardized, alone: true, false",
            "a regulariser in our form, the paper's not being known: the sum of the squared off-diagonal entries of "
            "the covariance (standardized: of the correlation) of z/|z| times √D over the images of all processes, "
            "over D; added to the loss, or alone. Mean over the views that pass the trained encoder: both of a pair, "
            "with `symmetric=false` too, but the anchors' alone, then one of a pair, where targets are encoded apart "
            "(momentum encoder, alternation, expectation)",
            f"{ZHANG} Fig. 5b, Appendix A.6",
            (
                "test_decorrelation.py::test_decorrelation_against_a_loop",
                "test_decorrelation.py::test_closed_forms",
                "test_decorrelation.py::test_the_views_that_are_regularised",
                "test_decorrelation.py::test_alone_and_standardized_it_raises_the_residual",
                "test_distributed.py::test_two_processes_equal_one",
            ),
        ),
    ),
    "Training in stages": (
        Axis(
            ("start_from",),
            "null, a run directory or a checkpoint",
            "weights of another run to begin with, across methods and losses: the encoder's, all of them, and those of "
            "predictor and prototypes where they fit; no optimizer, schedule, queue or memory",
            f"{ZHANG} Fig. 5b (SimSiam, then another loss)",
            (
                "training/test_start_from.py::test_parts_that_fit_are_taken_and_the_others_listed",
                "training/test_start_from.py::test_a_stage_is_a_run_of_its_own_from_these_weights",
                "training/test_start_from.py::test_a_stopped_stage_continues_to_the_bit_without_the_run_it_began_with",
                "training/test_start_from.py::test_a_stage_in_two_processes_is_that_in_one",
                "suites/test_stages.py::test_stages_take_the_weights_and_are_found_where_the_folder_is_moved_to",
            ),
        ),
    ),
    "Optimizer": (
        Axis(
            ("optimizer.name", "optimizer.momentum", "optimizer.weight_decay", "optimizer.exclude_norm_and_bias"),
            "sgd, lars, adamw; 0 to 1; from 0; true, false",
            "excluded from weight decay and from LARS's adaptation: BN, biases, and timm's exceptions (a transformer's "
            "position embedding and class token)",
            f"{SIMSIAM} Sec. 3 (SGD, decay on all); {SIMCLR} Sec. 2.2, {BYOL} Sec. 3.3 (LARS, excluded); {SWAV} (LARS, "
            "on all)",
            (
                "training/test_optim.py::test_lars_against_a_naive_update",
                "training/test_optim.py::test_norm_and_bias_can_be_left_out_of_weight_decay",
                "test_axes.py::test_a_transformers_position_and_class_token_are_not_decayed",
                "test_step.py::test_steps_are_the_papers",
            ),
        ),
        Axis(
            ("optimizer.trust_coefficient", "optimizer.trust_clip"),
            "above 0; true, false",
            "LARS's factor of a layer's rate: coefficient x norm of the weights / norm of the gradient; clipped, it is "
            "the rate itself, at most the schedule's (LARC)",
            f"{SIMCLR}, {BYOL} (0.001); [solo-learn](https://github.com/vturrisi/solo-learn) on CIFAR (0.02, clipped)",
            ("training/test_optim.py::test_lars_against_a_naive_update",),
        ),
        Axis(
            ("optimizer.lr", "optimizer.lr_scaling"),
            "above 0; linear, sqrt, none",
            "base rate, and its rule: lr x batch / 256, lr x sqrt(batch), lr",
            f"{GOYAL}; {SIMCLR} Table B.1 (0.3 linear, 0.075 sqrt); {SIMSIAM} Table 2 (batch 64: 66.1 ... 4096: 64.0)",
            ("training/test_optim.py::test_lr_scaling",),
        ),
        Axis(
            (
                "optimizer.schedule",
                "optimizer.schedule_interval",
                "optimizer.final_lr_fraction",
                "optimizer.warmup_epochs",
                "optimizer.warmup_lr_fraction",
                "optimizer.warmup_from_batch",
            ),
            "cosine, constant; step, epoch; 0 to 1; from 0; 0 to 1; from 1, null",
            "warmup, then cosine to a fraction of the peak, updated once a step or once an epoch; the smallest batch "
            "that has a warmup",
            f"{SIMSIAM} Table 2 (10 epochs from 1,024 on), Table 3a (10 epochs)",
            (
                "training/test_optim.py::test_warmup_then_cosine",
                "training/test_optim.py::test_simsiams_schedule_moves_once_an_epoch",
                "test_axes.py::test_warmup_only_for_large_batches",
            ),
        ),
        Axis(
            ("optimizer.final_weight_decay",),
            "from 0, null",
            "where a half cosine over all steps takes the weight decay; a part's own keeps its ratio to the "
            "optimizer's; null: it stays",
            f"{DINO} Sec. 3.2 (0.04 to 0.4)",
            (
                "training/test_optim.py::test_weight_decay_follows_a_cosine",
                "training/test_kill.py::test_a_killed_run_continues_to_the_bit",
            ),
        ),
        Axis(
            ("trainer.accumulate", "optimizer.clip_grad_norm"),
            "from 1; above 0, null",
            "batches per optimizer step (momentum encoder, queue and memory change once per step); largest norm of the "
            "gradient",
            f"{BYOL} Table 16 (gradients averaged over N steps)",
            (
                "training/test_processes.py::test_accumulating_two_batches_is_one_of_twice_the_size",
                "training/test_train.py::test_accumulation_steps_method_once_per_optimizer_step",
                "parts/test_heads.py::test_gradients_are_clipped",
            ),
        ),
    ),
    "Views (`augment.` for all, `augment.views.NAME.` for one)": (
        Axis(
            ("augment.views",),
            "names, each with `count` and differing keys",
            "views, each with its own settings: BYOL's two, SwAV's multi-crop, augmentation of one branch",
            f"{BYOL} Table 6; {SWAV} multi-crop; {SIMCLR} Fig. 5 (on one branch only)",
            (
                "config/test_compose.py::test_views_inherit_what_they_do_not_set",
                "config/test_compose.py::test_multi_crop_is_a_matter_of_views",
                "augment/test_views.py::test_each_view_has_its_own_settings_and_draws",
            ),
        ),
        Axis(
            ("augment.size", "augment.crop", "augment.flip"),
            "pixels; scale, ratio, interpolation; probability",
            "random resized crop to a square and mirror image",
            f"{BYOL} Table 17 (crop only 59.4, without flip 71.9, all 72.5)",
            (
                "augment/test_boxes.py::test_same_distribution_as_torchvision",
                "augment/test_crop.py::test_equals_torchvision",
            ),
        ),
        Axis(
            ("augment.jitter", "augment.grayscale"),
            "p, strength, brightness, contrast, saturation, hue, operations (torchvision, simclr, byol); probability",
            "colour jitter in an order drawn per image, times `strength`, by torchvision's operations or by those of "
            "SimCLR's or BYOL's code; grayscale",
            f"{SIMCLR} Table 1 (strength 1/8: 59.6, 1/4: 61.0, 1/2: 62.6, 1: 63.2); {BYOL} Table 17 (without jitter "
            "71.8, without grayscale 70.3, without both 63.4)",
            (
                "augment/test_operations.py::test_blends",
                "augment/test_operations.py::test_hue",
                "augment/test_tensorflow_color.py::test_every_order_of_the_colours",
            ),
        ),
        Axis(
            ("augment.autoaugment",),
            "none, imagenet, cifar10",
            "AutoAugment's policy, torchvision's, after crop and flip",
            f"{SIMCLR} Table 1 (61.1 in place of colour distortion; 64.5 with that)",
            (
                "augment/test_autoaugment.py::test_each_image_is_changed_as_torchvision_does_after_its_flip",
                "augment/test_autoaugment.py::test_it_stands_after_the_crop_and_rounds_to_levels",
            ),
        ),
        Axis(
            ("augment.blur", "augment.solarize"),
            "p, sigma, kernel, padding (reflect, zeros); p, threshold",
            "Gaussian blur, with reflected or black borders; values at or above the threshold "
            "inverted",
            f"{BYOL} Table 17 (without blur 71.2, without solarisation in T' 72.3); {SIMCLR} Table 1 (with blur 64.5)",
            (
                "augment/test_operations.py::test_gaussian_blur",
                "augment/test_tensorflow_color.py::test_blur_with_zeros_beyond_the_borders",
                "augment/test_operations.py::test_solarize",
            ),
        ),
        Axis(
            ("augment.rotate", "augment.noise", "augment.sobel", "augment.cutout", "augment.affine"),
            "probability; p, std; probability; p, scale, ratio; p, degrees, translate, scale, shear",
            "quarter turns, Gaussian noise, edges, a box cut out; affine maps for data without a natural crop",
            f"{SIMCLR} Fig. 5",
            (
                "augment/test_operations.py::test_rotate",
                "augment/test_noise.py::test_equals_the_reference",
                "augment/test_operations.py::test_sobel",
                "augment/test_cutout.py::test_cutout_sets_the_box_and_nothing_else",
                "augment/test_operations.py::test_affine",
            ),
        ),
    ),
}  # fmt: skip
